"""Work that costs less another way: bulk through the Batch API, and prompts just beyond where a price steps up."""

from __future__ import annotations

from collections import Counter, defaultdict

from headway.insights.finding import Found
from headway.insights.rates import Rate, Rates
from headway.insights.tally import Tally
from headway.insights.thresholds import LEAST_BATCH, LEAST_CALLS, STEP_OVER
from headway.insights.traffic import HOUR_NS, Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import tokens, who

_Work = tuple[str, str, str, str]  # tenant, job, model, and the label where there is no job


class BatchWork:
    """Bulk calls for which nobody waits: the Batch API does them within a day at half the price."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._rates = Rates()
        self._saved: defaultdict[_Work, Tally] = defaultdict(Tally)
        self._in_turns: Counter[_Work] = Counter()
        self._counted: Counter[_Work] = Counter()
        self._groups: dict[_Work, Group] = {}
        self._sessions: Recent[bool] = Recent(HOUR_NS)

    def see(self, seen: Seen) -> None:
        group, rate = seen.group, seen.rate
        is_bulk = group.class_ == "bulk" or (group.job and group.class_ != "interactive")
        if not is_bulk or rate is None or group.facts is None or group.provider != "anthropic":
            return
        if "+batch" in seen.variant or "+fast" in seen.variant:
            return
        cheaper = self._rates.batch(group.model, seen.at_ns, seen.variant)
        if cheaper is None:
            return
        work = (group.tenant, group.job, group.model, "" if group.job else group.label)
        self._groups.setdefault(work, group)
        self._saved[work].add(seen, seen.micros - _cost(seen, cheaper))
        self._counted[work] += seen.total - seen.read
        if seen.session:
            key = (work, seen.session)
            self._in_turns[work] += self._sessions.get(key) is True
            self._sessions.put(key, True, seen.at_ns)

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            self._finding(self._groups[work], tally, self._counted[work])
            for work, tally in self._saved.items()
            if tally.count >= LEAST_BATCH and tally.micros > 0 and self._in_turns[work] * 2 < tally.count
        ]

    def _finding(self, group: Group, tally: Tally, counted: int) -> Found:
        name = f"job {group.job}" if group.job else who(group.where)
        where = {name: value for name, value in group.where.items() if name != "label" or not group.job}
        return Found(
            rule="batch",
            title=f"{name}: {tally.count:,} bulk calls would cost half as a batch",
            where=where,
            certainty="likely",
            nature="discount",
            sample=tally.count,
            least=LEAST_BATCH,
            evidence=(
                f"{tally.count:,} calls of class {group.class_} paid the full price. A batch takes up to 24 hours (most take"
                " one) and draws on limits of its own.",
            ),
            numbers={"calls": tally.count, "discount": "50%"},
            change="Send them with the Message Batches API, if a day is soon enough; the job file has its form already.",
            snippet='client.messages.batches.create(requests=[json.loads(line) for line in open("JOB.jsonl")])',
            claims=tally.nanousd_claims,
            spread=tally.spread,
            quota=((group.pool, "input_tokens", float(counted), 0.0),) if group.pool else (),
            ids=tally.ids,
        )


class PriceStep:
    """Prompts a little longer than where a model's price steps up for the whole of them."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._rates = Rates()
        self._saved: defaultdict[int, Tally] = defaultdict(Tally)
        self._over: Counter[int] = Counter()
        self._steps: dict[int, int] = {}
        self._cuts: dict[int, float] = {}
        self._groups: dict[int, Group] = {}

    def see(self, seen: Seen) -> None:
        rate = seen.rate
        if rate is None or ">" not in seen.variant or not 0 < rate.step < seen.total <= STEP_OVER * rate.step:
            return
        below = self._rates.below(seen.group.model, seen.at_ns, seen.variant)
        if below is None or below.input >= rate.input:
            return
        number = seen.group.number
        self._groups[number], self._steps[number] = seen.group, rate.step
        self._saved[number].add(seen, (seen.micros - _cost(seen, below) * rate.step // seen.total))
        self._cuts[number] = 1 - below.input / rate.input
        self._over[number] += seen.total - rate.step

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            self._finding(self._groups[number], tally)
            for number, tally in self._saved.items()
            if tally.count >= LEAST_CALLS and tally.micros > 0
        ]

    def _finding(self, group: Group, tally: Tally) -> Found:
        step, over = self._steps[group.number], self._over[group.number] / tally.count
        cut = self._cuts[group.number]
        return Found(
            rule="price-step",
            title=f"{who(group.where)}: {tally.count:,} prompts are just beyond {tokens(step)} tokens, where prices step up",
            where=group.where,
            certainty="likely",
            nature="prefix",
            sample=tally.count,
            least=LEAST_CALLS,
            evidence=(
                f"They are over by {tokens(over)} tokens on average; at the step their price falls by {cut:.0%}.",
            ),
            numbers={"calls": tally.count, "step_tokens": step, "mean_over_tokens": round(over)},
            change=f"Keep these prompts below {step:,} tokens: headway.context.fit.",
            claims=tally.nanousd_claims,
            spread=tally.spread,
            ids=tally.ids,
        )


def _cost(seen: Seen, rate: Rate) -> int:
    return (
        seen.fresh * rate.input
        + seen.read * rate.cache_read
        + seen.write_5m * rate.cache_write_5m
        + seen.write_1h * rate.cache_write_1h
        + seen.output * rate.output
    )
