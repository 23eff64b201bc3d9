"""Attempts that gave no reply: those that were billed all the same, and calls that never once succeed."""

from __future__ import annotations

from collections import Counter, defaultdict

from headway.insights.finding import Found
from headway.insights.rates import MILLION
from headway.insights.tally import Sketch, Tally
from headway.insights.thresholds import FAILED_CALLS, LEAST_CALLS, PAID_SHARE, TIMEOUT_SPREAD
from headway.insights.traffic import Group, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import duration, money, tokens, who

_MOST_IDS = 3
_PAID = {
    "cancelled": (
        "were cancelled after they had begun",
        "Give them more time, or ask for less: what is cancelled is billed.",
    ),
    "lost": (
        "were lost with their process",
        "Let processes end their calls before they go: stop them with SIGTERM and wait.",
    ),
    "failed": (
        "broke off after they had begun",
        "Stream them, so that a broken connection shows at once; see where it breaks.",
    ),
}
_OTHER = ("ended without a reply and were billed", "See what ended them: headway usage --by status.")
_PASSING = (
    "rate_limited",
    "ramp_limited",
    "overloaded",
    "cancelled",
    "lost",
)  # say nothing about the request
_MOST_LABELS = 50_000


class PaidFailures:
    """Money for attempts that gave no reply."""

    sees: Sees = "failed"

    def __init__(self) -> None:
        self._paid: defaultdict[tuple[int, str], Tally] = defaultdict(Tally)
        self._times: defaultdict[tuple[int, str], Sketch] = defaultdict(Sketch)
        self._output: Counter[tuple[int, str]] = Counter()
        self._groups: dict[int, Group] = {}

    def see(self, seen: Seen) -> None:
        if not seen.nanousd or seen.nanousd < 0:
            return
        key = (seen.group.number, seen.outcome)
        self._groups[seen.group.number] = seen.group
        self._paid[key].add(seen, seen.nanousd * MILLION)
        self._times[key].add(seen.total_ms)
        self._output[key] += seen.output

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            self._finding(self._groups[number], outcome, tally)
            for (number, outcome), tally in self._paid.items()
            if tally.count >= LEAST_CALLS and tally.nanousd >= PAID_SHARE * self._groups[number].nanousd
        ]

    def _finding(self, group: Group, outcome: str, tally: Tally) -> Found:
        words, change = _PAID.get(outcome, _OTHER)
        times = self._times[(group.number, outcome)]
        low, middle, high = (times.quantile(share) / 1000 for share in (0.1, 0.5, 0.9))
        evidence = [
            f"{tally.count:,} of {group.attempts:,} attempts {words}: {tokens(self._output[(group.number, outcome)])}"
            " output tokens, by estimate."
        ]
        snippet = ""
        if outcome == "cancelled" and middle >= 1.0 and high - low <= TIMEOUT_SPREAD * middle:
            evidence.append(f"Nearly all after {duration(middle)}: that is a timeout, not people.")
            snippet = f"anthropic.Anthropic(timeout={round(middle * 4):d}.0)"
        return Found(
            rule="paid-failures",
            title=f"{who(group.where)}: {tally.count:,} attempts {words}, and cost {money(tally.nanousd)}",
            where=group.where,
            certainty="likely",
            nature="repeat",
            sample=tally.count,
            least=LEAST_CALLS,
            evidence=tuple(evidence),
            numbers={
                "attempts": tally.count,
                "of": group.attempts,
                "outcome": outcome,
                "median_ms": round(middle * 1000),
            },
            change=change,
            snippet=snippet,
            claims=tally.nanousd_claims,
            spread=tally.spread,
            ids=tally.ids,
        )


class _Failing:
    """Calls that failed in one way: those of one label, or of all labels that differ in numbers only."""

    __slots__ = ("attempts", "calls", "group", "ids", "label", "last_call", "nanousd")

    def __init__(self, group: Group, label: str) -> None:
        self.group, self.label = group, label
        self.calls = self.attempts = self.nanousd = 0
        self.last_call = ""
        self.ids: list[int] = []

    def add(self, seen: Seen) -> None:
        self.calls += seen.number == 1 or seen.call_id != self.last_call
        self.attempts += 1
        self.last_call = seen.call_id
        self.nanousd += seen.nanousd or 0
        if len(self.ids) < _MOST_IDS:
            self.ids.append(seen.id)


class AlwaysFailing:
    """The same calls with the same error, again and again, and never a success among them."""

    sees: Sees = "failed"

    def __init__(self) -> None:
        self._alike: dict[tuple[int, str], _Failing] = {}
        self._exact: dict[tuple[int, str, str], _Failing] = {}

    def see(self, seen: Seen) -> None:
        if seen.outcome in _PASSING:
            return
        group, error = seen.group, seen.error_type or seen.outcome
        alike = self._alike.get((group.number, error))
        if alike is None:
            alike = self._alike[(group.number, error)] = _Failing(group, group.label)
        alike.add(seen)
        if seen.label != group.label and len(self._exact) < _MOST_LABELS:
            key = (group.number, seen.label, error)
            exact = self._exact.get(key)
            if exact is None:
                exact = self._exact[key] = _Failing(group, seen.label)
            exact.add(seen)

    def found(self, traffic: Traffic, /) -> list[Found]:
        alike = [(one, error) for (_, error), one in self._alike.items() if not one.group.ok]
        exact = [(one, error) for (_, _, error), one in self._exact.items() if one.group.ok]
        found = [_finding(one, error, traffic) for one, error in alike if one.calls >= FAILED_CALLS]
        for one, error in exact:
            group = one.group
            call = (group.tenant, one.label, group.model)
            if one.calls >= FAILED_CALLS and not traffic.has_reply(call):
                found.append(_finding(one, error, traffic))
        return found


def _finding(one: _Failing, error: str, traffic: Traffic) -> Found:
    group, daily = one.group, one.calls / max(traffic.days, 1.0)
    where = {**group.where, "label": one.label} if one.label else group.where
    return Found(
        rule="always-failing",
        title=f"{who(where)}: {one.calls:,} calls failed with {error}, none succeeded",
        where=where,
        certainty="sure",
        nature="repeat",
        sample=one.calls,
        least=FAILED_CALLS,
        evidence=(
            f"{one.attempts:,} attempts with {group.model}, about {daily:,.0f} calls a day, not one reply:"
            f" with {one.calls:,} calls the true rate of success is below {3 / one.calls:.1%}.",
        ),
        numbers={"calls": one.calls, "attempts": one.attempts, "ok": 0, "error_type": error},
        change="Stop sending them until the request is right: they draw on the limit and wait in line for nothing.",
        claims={group.number: one.nanousd} if one.nanousd > 0 else {},
        quota=((group.pool, "requests", float(one.attempts), 0.0),) if group.pool else (),
        ids=tuple(one.ids),
    )
