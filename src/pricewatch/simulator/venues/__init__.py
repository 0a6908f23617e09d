"""One venue per file: the server side of its protocol."""
