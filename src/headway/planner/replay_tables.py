"""A replay as sentences, tables and a chart, for whoever shows it: a terminal or a page."""

from __future__ import annotations

from collections.abc import Sequence

from headway.charts.figure import Figure, Lines, Series
from headway.charts.measure import written
from headway.charts.section import Table
from headway.planner.replay import LimitUse, Outcome, Replay
from headway.planner.replay_tally import WAITS_S, Waits

_MOST_CHARTED = 4  # lines that can be told apart
_LEAST_BOUND = 0.0005  # of the time, that is worth a word
_NOTHING, _NO_WAIT_S = "-", 0.05


def headline(replay: Replay) -> str:
    """The answer in two sentences."""
    base, waits = replay.baseline, replay.baseline.waits
    span = written(replay.span_s, "seconds")
    text = f"{_calls(base.calls)} in {span}, {money(base.nanousd)}{'+?' * bool(base.unpriced)}: "
    text += f"{waits.waited:,} ({_share(waits.waited, base.calls)}) wait longer than {WAITS_S:.0f} s"
    if waits.waited and base.groups:
        worst = max(base.groups, key=lambda group: group.most_s)
        text += f", P90 {_time(waits.p90_s)}, at most {_time(waits.most_s)} ({worst.tenant}, {worst.class_})"
    text += f"; {base.refusals:,} meet a 429 on the way"
    if base.unpaced is not None:
        alone = base.unpaced
        text += f". Sent without headway: {alone.refusals:,} 429s, and {_calls(alone.failed)} fail for good"
    return text + "."


def scenarios(replay: Replay) -> Table:
    """A row for each scenario; what-ifs with their difference from how it was."""
    base, rows = replay.baseline, []
    refused = any(each.refused_by_budget or each.refused_to_wait for each in outcomes(replay))
    for number, each in enumerate(outcomes(replay)):
        waited, cost = f"{each.waits.waited:,}", money(each.nanousd)
        if number:
            waited += _change(each.waits.waited, base.waits.waited)
            cost += _change(each.nanousd, base.nanousd)
        cells = [
            name_of(number, each),
            waited,
            _p90(each.waits),
            _time(each.waits.most_s),
            f"{each.refusals:,}",
        ]
        if each.unpaced is not None:
            cells += [f"{each.unpaced.refusals:,}", f"{each.unpaced.failed:,}"]
        if refused:
            cells.append(f"{each.refused_by_budget + each.refused_to_wait:,}")
        rows.append((*cells, cost))
    columns = ["what if", "wait > 1 s", "P90", "longest", "429s"]
    columns += ["alone: 429s", "fail"] * (base.unpaced is not None) + ["refused"] * refused + ["cost"]
    return Table(tuple(columns), tuple(rows))


def who(replay: Replay, most: int) -> Table:
    """Who waited, by tenant and class, at most so many; P90 in each what-if."""
    groups = [{(each.tenant, each.class_): each for each in outcome.groups} for outcome in outcomes(replay)]
    names = list(dict.fromkeys(name for each in groups for name in each))
    names.sort(key=lambda name: -max(each[name].p90_s for each in groups if name in each))
    rows = [
        (
            name[0] or "(none)",
            name[1],
            *_waits(groups[0].get(name)),
            *(_p90(each.get(name)) for each in groups[1:]),
        )
        for name in names[:most]
    ]
    columns = ["tenant", "class", "calls", "wait > 1 s", "P50", "P90", "longest"]
    columns += [f"P90 if {number}" for number in range(1, len(groups))]
    left = len(names) - len(rows)
    return Table(tuple(columns), tuple(rows), f"{left:,} more wait less." if left else "")


def limits(replay: Replay) -> Table:
    """How full each limit was, and for what share of the time it held back the next call; that in each what-if, too."""
    found: dict[tuple[str, str], list[LimitUse | None]] = {}
    everywhere = outcomes(replay)
    for number, outcome in enumerate(everywhere):
        for use in outcome.limits:
            found.setdefault((use.pool, use.unit), [None] * len(everywhere))[number] = use
    rows = []
    for (pool, unit), uses in found.items():
        first = next(use for use in uses if use is not None)
        per = _PERIODS.get(first.period_s, f"{first.period_s:g} s")
        base = uses[0]
        rows.append(
            (
                pool,
                f"{unit.replace('_', ' ')}, {written(first.amount, 'count')}/{per}",
                f"{base.mean:.0%}" if base else _NOTHING,
                f"{base.fullest_minute:.0%}" if base else _NOTHING,
                *(_bound(replay, *each) for each in zip(everywhere, uses, strict=True)),
            )
        )
    binds = ["binds", *(f"if {number}" for number in range(1, len(everywhere)))]
    return Table(("pool", "limit", "used", "fullest min", *binds), tuple(rows))


def _bound(replay: Replay, outcome: Outcome, use: LimitUse | None) -> str:
    share = use.bound_s / max(replay.span_s, outcome.ends_s, 1e-9) if use is not None else 0.0
    return f"{share:.1%}" if share >= _LEAST_BOUND else _NOTHING


def chart(replay: Replay) -> Figure | None:
    """Mean waits over time. None: nobody waited to speak of."""
    shown = outcomes(replay)[:_MOST_CHARTED]
    begins = replay.begins_ns / 1e9
    if not any(each.waits.waited for each in shown):
        return None
    series = tuple(
        Series(
            name_of(number, each),
            tuple(begins + bin_.at_s for bin_ in each.bins),
            tuple(bin_.mean_s for bin_ in each.bins),
            step=True,
        )
        for number, each in enumerate(shown)
    )
    return Figure("Mean wait of the calls that came then (UTC)", Lines(series, x="moment", y="seconds"))


def notes(replay: Replay) -> list[str]:
    """What the numbers rest on."""
    base = replay.baseline
    said = [
        f"{each.name}: {each.stopped}. What waited then is not counted."
        for each in outcomes(replay)
        if each.stopped
    ]
    said += _sources(replay)
    if replay.gone_ns:
        gone = written(replay.gone_ns / 1e9, "moment")
        said.append(
            f"Single attempts from before {gone} UTC may have been removed from the ledger; the rest is replayed."
        )
    for what_if in replay.what_ifs:
        name = repr(what_if.name)
        if what_if.batched:
            said.append(
                f"{name}: {_calls(what_if.batched)} go to the Batch API, done within 24 h; no wait is counted."
            )
        if what_if.dropped:
            said.append(f"{name}: {_calls(what_if.dropped)} are left out.")
        if what_if.refused_by_budget:
            saved = money(what_if.refused_nanousd)
            said.append(f"{name}: a budget refuses {_calls(what_if.refused_by_budget)}, worth {saved}.")
    if base.off_limits:
        said.append(f"{_calls(base.off_limits)} draw on no limit.")
    if base.unpriced:
        said.append(f"{_calls(base.unpriced)} have no known price.")
    said.append(
        "Within a session a call comes as long after the end of the one before as it did then (up to 10 min)."
    )
    return said


def _sources(replay: Replay) -> list[str]:
    """Where limits are from, pools of the same source together."""
    pools: dict[str, list[str]] = {}
    for pool, source in replay.baseline.sources:
        pools.setdefault(source, []).append(pool)
    said = [f"Limits of {', '.join(names)}: {source}." for source, names in pools.items()]
    known = dict(replay.baseline.sources)
    for what_if in replay.what_ifs:
        for pool, source in what_if.sources:
            if pool not in known or source.startswith("none"):
                said.append(f"{what_if.name!r}: limits of {pool}: {source}.")
    return said


_PERIODS = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "day"}


def money(nanousd: int) -> str:
    """Dollars: whole from 10,000 on, else cents; below ten cents four places."""
    if nanousd >= 10_000 * 10**9:
        return f"${round(nanousd / 10**9):,}"
    if nanousd >= 10**8 or nanousd == 0:
        return f"${nanousd / 10**9:,.2f}"
    return f"${nanousd / 10**9:.4f}"


def _waits(waits: Waits | None) -> Sequence[str]:
    if waits is None:
        return ("0", "0", _NOTHING, _NOTHING, _NOTHING)
    return (f"{waits.calls:,}", f"{waits.waited:,}", _time(waits.p50_s), _p90(waits), _time(waits.most_s))


def _p90(waits: Waits | None) -> str:
    return _NOTHING if waits is None else _time(waits.p90_s)


def _time(seconds: float) -> str:
    return _NOTHING if seconds < _NO_WAIT_S else written(seconds, "seconds")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "0%"


def _calls(count: int) -> str:
    return f"{count:,} call{'s' * (count != 1)}"


def _change(now: int, before: int | None) -> str:
    """A difference as people say it, with what it is the difference to in mind."""
    if before is None or now == before:
        return ""
    if not before:
        return " (+)"
    change = (now - before) / before
    return f" ({change:+.0%})" if abs(change) < 10.0 else f" (×{now / before:,.0f})"


def outcomes(replay: Replay) -> tuple[Outcome, ...]:
    """How it was, then each what-if."""
    return (replay.baseline, *replay.what_ifs)


def name_of(number: int, outcome: Outcome) -> str:
    """What a scenario is called; what-ifs with their number."""
    return f"{number}  {outcome.name}" if number else outcome.name
