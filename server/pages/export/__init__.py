"""The page of a table's forms and states."""
