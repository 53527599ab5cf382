"""Sessions of visits, from what a table is missing to what the server has stored."""
