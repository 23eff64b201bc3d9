"""A provider to test against, on real sockets."""
