"""How much of anything a client may send, keep open or keep waiting, so that no one of them can use up the gateway."""

from __future__ import annotations

from dataclasses import dataclass

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes, counts and seconds.

    `message` is the most a message may have (the provider's own bound), `other` any other body, `bodies` all bodies that
    are held at once. `slow` is the least a client must send of a body in a second, after `body_s`; `write_s` is how long
    a reply may wait for a client that reads nothing. `drain_s` is what calls get to end when the gateway stops.
    """

    head: int = 64 * 1024
    message: int = 32 * _MB
    other: int = 256 * _MB
    bodies: int = 1024 * _MB
    connections: int = 10_000
    pipelined: int = 16
    head_s: float = 20.0
    body_s: float = 30.0
    slow: int = 4096
    idle_s: float = 120.0
    write_s: float = 120.0
    drain_s: float = 30.0
