"""A search's page."""
