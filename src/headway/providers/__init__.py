"""What each API means: the same five functions for every provider, in the same order (see `core.ports`)."""
