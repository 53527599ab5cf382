"""The page of what changed from one state of a table to another."""
