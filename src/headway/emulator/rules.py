"""What of the provider's ways is not published, so that a profile has to choose."""

from __future__ import annotations

from enum import StrEnum


class Admit(StrEnum):
    """When a bucket lets a request in.

    FIT: it holds what the request needs (or is full, so that a request beyond the capacity is not shut out for ever).
    DEBT: it holds anything at all. Debt of 250k tokens has been seen in the field, so this is the likelier rule.
    """

    FIT = "fit"
    DEBT = "debt"


class Output(StrEnum):
    """How output tokens are counted: as they are PRODUCED (2026), or max_tokens RESERVED at admission (to late 2025)."""

    PRODUCED = "produced"
    RESERVED = "reserved"


class Remaining(StrEnum):
    """What `…-remaining` shows: the MINUTE limit less what is not refilled yet, or what the BURST bucket holds."""

    MINUTE = "minute"
    BURST = "burst"


class Refused(StrEnum):
    """Whether a request that got a 429 uses up the requests limit all the same: FREE or COUNTED."""

    FREE = "free"
    COUNTED = "counted"
