"""What a flow asks its driver to do, and what the driver answers. Small and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from headway.core.call import Call, Problem, Usage
from headway.core.ports import Entry, OpenEntry
from headway.errors import HeadwayError


class Ticket(Struct, frozen=True):
    """The hold of an admitted call on its meters.

    `queued_s` is how long it waited in line; `at` is monotonic, `at_ns` the same moment in wall time (ns since 1970 UTC).
    `input_tokens` and `output_tokens` are what it is expected to take; `worst_cost` is held on the budget (nanodollars).
    `waited_for`: see `ports.OpenEntry`.
    """

    id: str
    call: Call
    number: int
    queued_s: float
    at: float
    at_ns: int
    input_tokens: float
    output_tokens: float
    worst_cost: int = 0
    waited_for: str = ""


class Reply(Struct, frozen=True):
    """What came back for one attempt, whole. `message` is the parsed reply; None if there was a problem.

    Times are seconds from sending; None: never came. `produced` is our count of output tokens of a reply that broke off.
    `sent`: some of the request had left. `delivered`: the caller has seen some of the reply, so it cannot be asked for again.
    `cancelled`: nobody waited for its end. `stop_reason`: the provider's word for why it ended ("": not known).
    """

    status: int | None
    headers: Mapping[str, str]
    message: Any = None
    usage: Usage | None = None
    problem: Problem | None = None
    first_token_s: float | None = None
    total_s: float = 0.0
    produced: float = 0.0
    sent: bool = True
    delivered: bool = False
    cancelled: bool = False
    stop_reason: str = ""


CANCELLED = Reply(status=None, headers={}, cancelled=True)


class Admit(Struct, frozen=True):
    """Wait in line until the meters let this attempt go. Answer: `Ticket`, or the error that refused it."""

    call: Call
    number: int


class Send(Struct, frozen=True):
    """Send it and read the reply to its end. Answer: `Sent`."""

    ticket: Ticket


class Settle(Struct, frozen=True):
    """Give the ticket back, exactly once. Answer: None. `outcome` is "ok", a fault, or "cancelled"."""

    ticket: Ticket
    reply: Reply
    usage: Usage
    estimated: bool
    outcome: str = "ok"


class Record(Struct, frozen=True):
    """Write to the ledger. Answer: None."""

    entry: OpenEntry | Entry


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next attempt. Answer: None."""

    seconds: float
    problem: Problem


class Sent(Struct, frozen=True):
    """Answer to `Send`. `now` is monotonic, `draw` a random number in [0, 1) for jitter."""

    reply: Reply
    now: float
    draw: float


class Outcome(Struct, frozen=True):
    """How a call ended: a reply, or the problem or error that was final, after `attempts` attempts."""

    call: Call
    attempts: int
    reply: Reply | None = None
    problem: Problem | None = None
    error: HeadwayError | None = None
    why: str = ""
    refusals: int = 0
    usages: tuple[Usage, ...] = ()


Step = Admit | Send | Settle | Record | Pause
Answer = Ticket | HeadwayError | Sent | int | None
