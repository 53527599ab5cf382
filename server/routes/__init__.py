"""Routes declare: types, status, possible errors, one call of the store."""
