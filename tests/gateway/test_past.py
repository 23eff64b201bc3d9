"""Rules of what is not in memory: the ledger is added up as the engine would have, and what is put aside is not lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.call import Class, Unit, Usage
from headway.core.ports import Entry, OpenEntry
from headway.errors import LedgerError
from headway.gateway.grants import Group
from headway.gateway.past import Past
from headway.gateway.period import Always, Period, Plan, Rolling, parse_plan
from headway.ledger.price import Prices
from headway.ledger.sqlite import SqliteLedger

NOON = 1_795_521_600 * 10**9  # 2026-11-24 12:00 UTC
SECOND = 10**9
MODELS = ("claude-opus-4-8", "claude-haiku-4-5")
PRICES = Prices()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it is written down."""

    at_s: int
    tenant: str
    session: str
    model: str
    tokens: int
    outcome: str
    status: int | None
    estimated: bool

    @property
    def usage(self) -> Usage:
        tokens = self.tokens if self.status == 200 or self.estimated else 0
        return Usage(tokens, cache_read_tokens=tokens // 2, output_tokens=tokens // 3, model=self.model)

    def took(self, unit: Unit) -> int:
        usage = self.usage
        match unit:
            case Unit.USD:
                return PRICES.cost(self.model, usage, NOON).nanousd or 0
            case Unit.TOKENS:
                return usage.input_tokens + usage.cache_read_tokens + usage.output_tokens
            case _:
                return int(self.status == 200 or self.estimated)


ENDS = [
    ("ok", 200, False),
    ("rate_limited", 429, False),
    ("failed", None, False),
    ("failed", 200, True),
    ("lost", None, True),
]
ATTEMPTS = st.lists(
    st.builds(
        lambda at_s, tenant, session, model, tokens, end: Attempt(at_s, tenant, session, model, tokens, *end),
        st.integers(0, 100),
        st.sampled_from(["acme", "other"]),
        st.sampled_from(["", "s"]),
        st.sampled_from(MODELS),
        st.integers(1, 50_000),
        st.sampled_from(ENDS),
    ),
    max_size=30,
)


def write(path: Path, attempts: Sequence[Attempt]) -> None:
    with SqliteLedger(path, prices=PRICES) as ledger:
        for number, each in enumerate(attempts):
            opened = OpenEntry(
                attempt_id=f"a-{number}",
                call_id=f"c-{number}",
                number=1,
                at_ns=NOON + each.at_s * SECOND,
                provider="anthropic",
                pool="anthropic/opus-4",
                model=each.model,
                tenant=each.tenant,
                class_=Class.STANDARD,
                session=each.session,
                job="",
                label="",
                estimated_input_tokens=1,
                estimated_output_tokens=1,
                queued_ms=0.0,
                stream=False,
            )
            ledger.open(opened)
            ledger.close(
                Entry(
                    attempt_id=f"a-{number}",
                    outcome=each.outcome,
                    status=each.status,
                    error_type="",
                    request_id=None,
                    usage=each.usage,
                    estimated=each.estimated,
                    first_token_ms=None,
                    total_ms=1.0,
                )
            )


VALUES = {(): (), ("session",): ("s",), ("model",): (MODELS[0],), ("session", "model"): ("s", MODELS[0])}


def spent(past: Past, group: Group, values: tuple[str, ...], at_ns: int) -> int:
    return sum(amount for _, amount in past.recall(group.grant(values, at_ns))[0])


@settings(max_examples=25, deadline=None)
@given(ATTEMPTS, st.integers(60, 130), st.sampled_from([Always(), Rolling(60)]))
def test_what_was_spent_is_the_sum_over_whose_it_is_and_when(
    attempts: Sequence[Attempt], now_s: int, period: Period
) -> None:
    """Of two tenants and all units at once, in one pass for each way to tell calls apart."""
    now = NOON + now_s * SECOND
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        write(path, attempts)
        past = Past(path, PRICES)
        for per, values in VALUES.items():
            groups = [
                Group(tenant, Plan(unit, 1, period, per))  # type: ignore[arg-type]  # they are dimensions
                for tenant in ("acme", "other", "nobody")
                for unit in (Unit.USD, Unit.TOKENS, Unit.REQUESTS)
            ]
            past.look_back(groups, now)
            for group in groups:
                mine = [
                    each
                    for each in attempts
                    if each.tenant == group.tenant
                    and ("session" not in per or each.session == "s")
                    and ("model" not in per or each.model == MODELS[0])
                    and (isinstance(period, Always) or each.at_s > now_s - 60)
                ]
                pieces, was_kept = past.recall(group.grant(values, now))
                assert not was_kept
                assert sum(amount for _, amount in pieces) == sum(each.took(group.plan.unit) for each in mine)
                assert sorted(pieces) == pieces
                assert {at_ns for at_ns, _ in pieces} <= {NOON + each.at_s * SECOND for each in mine}
        past.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def ok(session: str = "", at_s: int = 0) -> Attempt:
    return Attempt(at_s, "acme", session, MODELS[0], 100, "ok", 200, False)


def test_a_day_has_what_was_sent_in_it(path: Path) -> None:
    write(path, [ok(at_s=at_s) for at_s in (-43_201, -43_200, 0, 43_199, 43_200)])
    past, group = Past(path, PRICES), Group("acme", parse_plan("9 requests/day"))
    past.look_back([group], NOON)
    assert spent(past, group, (), NOON) == 3
    assert spent(past, group, (), NOON + 86_400 * SECOND) == 0
    past.close()


def test_many_tenants_are_read_in_one_pass(path: Path) -> None:
    write(path, [ok(), ok()])
    past = Past(path, PRICES)
    groups = [Group(name, parse_plan("9 requests")) for name in ("acme", *map(str, range(1000)))]
    past.look_back(groups, NOON)
    assert [spent(past, group, (), NOON) for group in groups[:3]] == [2, 0, 0]
    past.close()


def test_without_a_ledger_nothing_was_spent(path: Path) -> None:
    for ledger in (None, path):
        past, group = Past(ledger, PRICES), Group("acme", parse_plan("9 requests"))
        past.look_back([group], NOON)
        assert spent(past, group, (), NOON) == 0
        past.close()
    assert not path.exists()


def test_a_file_that_is_no_ledger_is_an_error_and_is_read_once_it_is_one(path: Path) -> None:
    path.write_bytes(b"no ledger at all, and long enough" * 100)
    past, group = Past(path, PRICES), Group("acme", parse_plan("9 requests"))
    for _ in range(2):
        with pytest.raises(LedgerError):
            past.look_back([group], NOON)
    path.unlink()
    write(path, [ok()])
    past.look_back([group], NOON)
    assert spent(past, group, (), NOON) == 1
    past.close()


@pytest.mark.parametrize("name", ["a\0b\ud800", "'; DROP TABLE aside; --", "\n", "ß" * 200])
def test_names_that_callers_make_up_are_found_again(path: Path, name: str) -> None:
    write(path, [ok(name), ok("other")])
    past, group = Past(path, PRICES), Group("acme", parse_plan("9 requests per session"))
    past.look_back([group], NOON)
    assert spent(past, group, (name,), NOON) == 1
    past.keep(group.grant((name,), NOON), [(0, 5)])
    assert past.recall(group.grant((name,), NOON)) == ([(0, 5)], True)
    assert spent(past, group, ("other",), NOON) == 1
    past.close()


def test_what_is_put_aside_comes_in_place_of_what_was_before_and_goes_with_its_period(path: Path) -> None:
    write(path, [ok("s"), ok("s")])
    past, group = Past(path, PRICES), Group("acme", parse_plan("9 requests/day per session"))
    past.look_back([group], NOON)
    today, tomorrow = group.grant(("s",), NOON), group.grant(("s",), NOON + 86_400 * SECOND)
    past.keep(today, [(1, 3), (2, 4)])
    past.keep(tomorrow, [(3, 1)])
    assert past.recall(today) == ([(1, 3), (2, 4)], True)
    past.keep(today, [(2, 4)])
    assert past.recall(today) == ([(2, 4)], True)
    past.forget(group, tomorrow.start_ns)
    assert past.recall(today) == ([], False)
    assert past.recall(tomorrow) == ([(3, 1)], True)
    past.close()


@pytest.mark.parametrize("unit", ["1usd", "1m tokens", "9 requests"])
def test_an_attempt_that_is_still_open_counts_as_it_will_if_its_end_never_comes(
    path: Path, unit: str
) -> None:
    opened = OpenEntry(
        *(
            "a-1",
            "c-1",
            1,
            NOON,
            "anthropic",
            "anthropic/opus-4",
            MODELS[0],
            "acme",
            Class.STANDARD,
            "s",
            "j",
            "",
        ),
        *(4000, 500, 0.0, False),
    )
    values = ("s", "j", MODELS[0])

    def now() -> int:
        past, group = Past(path, PRICES), Group("acme", parse_plan(f"{unit} per session per job per model"))
        past.look_back([group], NOON)
        found = spent(past, group, values, NOON)
        past.close()
        return found

    with SqliteLedger(path, prices=PRICES) as ledger:
        ledger.open(opened)
        ledger.flush()
        open_ = now()
        assert open_ > 0
        lost = Usage(4000, output_tokens=500, model=MODELS[0])
        ledger.close(Entry("a-1", "lost", None, "process_died", None, lost, True, None, 0.0))
    assert now() == open_
