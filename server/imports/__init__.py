"""Tables in the forms of others: `python -m server.imports` reads them, the server writes them."""
