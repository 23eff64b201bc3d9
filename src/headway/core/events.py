"""What can be told about calls while they live: one frozen value for each kind of news. No prompt, no key."""

from __future__ import annotations

from dataclasses import dataclass

from headway.core.call import Call, Problem, Unit, Usage
from headway.core.limit import Limit


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call stands in line. `limit` is what the head of the line waits for, at `level`; `wait_s` until that clears
    (infinite: when something in flight ends), `ahead` how many calls stand before it."""

    call: Call
    limit: str
    level: float
    wait_s: float
    ahead: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """An attempt leaves the line and is sent. `queued_s`: how long it stood there. Tokens: what it is expected to take."""

    call: Call
    attempt: int
    queued_s: float
    input_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class Settled:
    """An attempt is over. `outcome` is "ok", a fault, or "cancelled"; `cost_nanousd` None: not known.

    `estimated`: the usage is our guess, because the reply broke off. `at_ns` is when it was sent, wall time.
    """

    call: Call
    attempt: int
    outcome: str
    status: int | None
    problem: Problem | None
    usage: Usage
    estimated: bool
    cost_nanousd: int | None
    queued_s: float
    first_token_s: float | None
    total_s: float
    at_ns: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A call was refused: by the provider (429; it will be tried again), or here, before it was sent.

    `limit` names the limit or the budget. `wait_s` is until it clears; None: never, or not known.
    """

    call: Call
    by: str  # "provider" or "headway"
    limit: str
    level: float | None
    wait_s: float | None


@dataclass(frozen=True, slots=True)
class LimitLearnt:
    """The provider's headers showed a limit: new, or another than before. `before` is None for a new one."""

    pool: str
    limit: Limit
    before: Limit | None


@dataclass(frozen=True, slots=True)
class BudgetLow:
    """A budget has passed `share` of its cap (0.8, then 1.0), in calls that are over. Amounts as in `Cap`."""

    name: str
    unit: Unit
    used: int
    cap: int
    share: float


Event = Waiting | Admitted | Settled | Refused | LimitLearnt | BudgetLow
