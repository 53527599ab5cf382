"""The database: an engine, its schema and records, and transactions in a pool of threads."""
