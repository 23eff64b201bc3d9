from __future__ import annotations

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.jobs.counting import Counting
from headway.jobs.tally import FRESH_S, Tally
from headway.ledger.price import Prices
from headway.ledger.sqlite import NoLedger

MODEL = "claude-opus-4-20250514"
AT_NS = 1_760_000_000 * 10**9


class Heard(NoLedger):
    def __init__(self) -> None:
        self.heard: list[OpenEntry | Entry] = []

    def open(self, entry: OpenEntry) -> None:
        self.heard.append(entry)

    def close(self, entry: Entry) -> None:
        self.heard.append(entry)


def attempt(
    counting: Counting,
    usage: Usage,
    outcome: str = "ok",
    *,
    number: int = 1,
    model: str = MODEL,
    estimated: bool = False,
) -> None:
    counting.open(
        OpenEntry(
            f"a-{number}",
            "a",
            number,
            AT_NS,
            "anthropic",
            "p",
            model,
            "t",
            Class.BULK,
            "",
            "j",
            "l",
            1,
            1,
            0.0,
            True,
        )
    )
    counting.close(Entry(f"a-{number}", outcome, 200, "", None, usage, estimated, None, 1.0))


def test_every_attempt_is_counted_by_class_and_in_nanodollars_and_handed_on() -> None:
    tally, ledger = Tally(), Heard()
    counting = Counting(ledger, tally, Prices())
    attempt(counting, Usage(model=MODEL), "rate_limited")
    attempt(counting, Usage(), "ramp_limited", number=2)
    attempt(
        counting,
        Usage(10, 200, 30, 4, 50, 20, model=MODEL, parts=(Usage(1, output_tokens=2, model=MODEL),)),
        number=3,
        estimated=True,
    )
    assert (tally.attempts, tally.rate_limited, tally.retried, tally.estimated, tally.unpriced) == (
        3,
        2,
        1,
        1,
        0,
    )
    assert dict(tally.tokens) == {
        "input": 11,
        "cache_read": 200,
        "cache_write_5m": 30,
        "cache_write_1h": 4,
        "output": 52,
        "thinking": 20,
    }
    assert tally.nanousd == 11 * 15000 + 200 * 1500 + 30 * 18750 + 4 * 30000 + 52 * 75000
    assert len(ledger.heard) == 6


def test_a_model_without_a_price_counts_its_tokens_and_is_flagged_unless_nothing_was_used() -> None:
    tally = Tally()
    counting = Counting(NoLedger(), tally, Prices())
    attempt(counting, Usage(5, model="nobody-7"), model="nobody-7")
    attempt(counting, Usage(), "failed", model="nobody-7")
    assert (tally.tokens["input"], tally.nanousd, tally.unpriced) == (5, 0, 1)


def test_the_model_that_the_reply_names_is_priced_else_the_one_asked_for() -> None:
    tally = Tally()
    counting = Counting(NoLedger(), tally, Prices())
    attempt(counting, Usage(1000, model="nobody-7"))
    assert (tally.nanousd, tally.unpriced) == (1000 * 15000, 0)


def test_trouble_is_shown_only_while_it_is_fresh() -> None:
    tally = Tally(trouble="api_error: down", troubled_at=100.0)
    assert tally.trouble_now(100.0 + FRESH_S - 1) == "api_error: down"
    assert tally.trouble_now(100.0 + FRESH_S) == ""
