"""The demonstration: a small HTTP service, and the promote story played against a running server."""
