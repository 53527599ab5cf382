"""The page of two tables side by side."""
