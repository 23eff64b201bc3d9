"""A provider to test against: real sockets, its own arithmetic, its own books.

Independent of `headway.core` and `headway.providers` on purpose, so that the same mistake cannot hide on both sides.
Start reading at `organisation`.
"""
