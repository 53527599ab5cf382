"""An operator's page, in one table."""
