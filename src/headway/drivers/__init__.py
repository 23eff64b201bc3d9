"""Shells that run a flow: with threads, with anyio, in virtual time."""
