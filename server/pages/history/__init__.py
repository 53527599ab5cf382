"""The page of what changed over time."""
