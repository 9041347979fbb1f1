"""The server's version and the caller's account."""
