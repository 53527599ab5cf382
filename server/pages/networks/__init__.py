"""The page of whole networks."""
