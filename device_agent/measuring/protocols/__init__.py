"""The ways to time operators: in situ and isolated."""
