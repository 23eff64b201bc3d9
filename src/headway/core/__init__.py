"""The engine, pure: no clock, no randomness, no I/O. Start reading at `flow`."""
