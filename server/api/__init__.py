"""Routes that answer programs. They declare types, status and errors, and call the store."""
