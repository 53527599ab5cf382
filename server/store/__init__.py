"""Every query, as functions of a session that return contract models. Nothing here commits."""
