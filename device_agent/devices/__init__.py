"""The kinds of devices: a folder for each, and the registry that knows what a name means."""
