"""The page that lists and compares searches."""
