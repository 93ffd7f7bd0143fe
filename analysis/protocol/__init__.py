"""`protocol.toml`, its schema, and the vocabulary that several layers share."""
