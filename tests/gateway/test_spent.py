"""Rules of what was spent before: the ledger is added up as the books of the engine would have."""

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
from headway.gateway.spent import Spent
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


@settings(max_examples=25, deadline=None)
@given(ATTEMPTS, st.integers(0, 100), st.integers(0, 100), st.sampled_from(["acme", "other"]), st.booleans())
def test_what_was_spent_is_the_sum_over_whose_it_is_and_when(
    attempts: Sequence[Attempt], one: int, other: int, tenant: str, by_session: bool
) -> None:
    start, end = sorted((one, other))
    whose = {"tenant": tenant, "model": MODELS[0]} | ({"session": "s"} if by_session else {})
    mine = [
        each
        for each in attempts
        if each.tenant == tenant and each.model == MODELS[0] and (not by_session or each.session == "s")
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        write(path, attempts)
        spent = Spent(path, PRICES)
        for unit in (Unit.USD, Unit.TOKENS, Unit.REQUESTS):
            within = sum(each.took(unit) for each in mine if start <= each.at_s < end)
            since = sum(each.took(unit) for each in mine if start <= each.at_s)
            begin = NOON + start * SECOND
            assert spent.amount(unit, whose, begin, NOON + end * SECOND) == within
            assert spent.amount(unit, whose, begin, None) == since
            pieces = spent.pieces(unit, whose, begin, 7 * SECOND)
            assert sum(amount for _, amount in pieces) == since
            assert sorted(pieces) == pieces
            assert {at_ns for at_ns, _ in pieces} <= {NOON + each.at_s * SECOND for each in mine}
        spent.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


ONE = Attempt(0, "acme", "", MODELS[0], 100, "ok", 200, False)
ALL = (Unit.REQUESTS, {"tenant": "acme"}, 0, None)


def test_without_a_ledger_nothing_was_spent(path: Path) -> None:
    assert Spent(None, PRICES).amount(*ALL) == 0
    spent = Spent(path, PRICES)
    assert spent.amount(*ALL) == 0
    write(path, [ONE])
    assert spent.amount(*ALL) == 1
    spent.close()


def test_what_is_written_meanwhile_is_seen_and_a_ledger_that_was_moved_is_found_again(
    path: Path, tmp_path: Path
) -> None:
    write(path, [ONE])
    spent = Spent(path, PRICES)
    assert spent.amount(*ALL) == 1
    write(path, [ONE, ONE])  # the first of them is there already
    assert spent.amount(*ALL) == 2
    path.rename(tmp_path / "aside")
    assert spent.amount(*ALL) == 0
    write(path, [ONE])
    assert spent.amount(*ALL) == 1
    spent.close()


def test_a_file_that_is_no_ledger_is_an_error(path: Path) -> None:
    path.write_bytes(b"no ledger at all, and long enough" * 100)
    with pytest.raises(LedgerError):
        Spent(path, PRICES).amount(*ALL)


def test_a_name_that_no_database_can_hold_is_asked_for_as_it_was_written(path: Path) -> None:
    odd = "a\0b\ud800"
    write(path, [Attempt(0, "acme", odd, MODELS[0], 100, "ok", 200, False)])
    spent = Spent(path, PRICES)
    assert spent.amount(Unit.REQUESTS, {"tenant": "acme", "session": odd}, 0, None) == 1
    spent.close()


def test_a_session_is_found_without_a_look_at_all_others(path: Path) -> None:
    """Each new session of a gateway that was started again is looked up while its first call waits."""
    write(path, [ONE])
    spent = Spent(path, PRICES)
    spent.amount(*ALL)
    assert spent._db is not None
    plans = {
        where: spent._db.execute(
            f"EXPLAIN QUERY PLAN SELECT sum(cost_nanousd) FROM attempts WHERE at_ns >= ? AND at_ns < ? AND {where}",
            (0, 1, *"as"[: where.count("?")]),
        ).fetchone()[3]
        for where in ("tenant = ? AND session = ?", "tenant = ?")
    }
    assert all("attempts_by_tenant" in plan for plan in plans.values()), plans
    spent.close()


@pytest.mark.parametrize("unit", [Unit.USD, Unit.TOKENS, Unit.REQUESTS])
def test_an_attempt_that_is_still_open_counts_as_it_will_if_its_end_never_comes(
    path: Path, unit: Unit
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
    spent, whose = Spent(path, PRICES), {"tenant": "acme", "session": "s", "job": "j", "model": MODELS[0]}
    with SqliteLedger(path, prices=PRICES) as ledger:
        ledger.open(opened)
        ledger.flush()
        open_ = spent.amount(unit, whose, NOON, NOON + 1)
        assert open_ > 0
        assert spent.amount(unit, whose, NOON + 1, None) == 0
        assert spent.pieces(unit, whose, NOON, SECOND) == [(NOON, open_)]
        lost = Usage(4000, output_tokens=500, model=MODELS[0])
        ledger.close(Entry("a-1", "lost", None, "process_died", None, lost, True, None, 0.0))
    assert spent.amount(unit, whose, NOON, None) == open_
    spent.close()
