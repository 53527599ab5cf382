"""What the server, the device agent and the search agree on."""
