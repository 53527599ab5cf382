"""A device's page: one of its tables."""
