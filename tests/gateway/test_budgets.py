"""Rules of budgets at the gateway: exact while it runs, the same after a restart, and no more in memory than is needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.config import Config
from headway.core.call import Call, Cap, Class, Estimate, Fault, Identity, Problem, Unit, Usage
from headway.core.events import BudgetLow, Event
from headway.core.retry import Retry
from headway.core.steps import Outcome, Reply, Ticket
from headway.drivers.aio import AioDriver
from headway.drivers.sync import SyncDriver
from headway.drivers.turnstile import Turnstile, Watch
from headway.errors import BudgetExceeded, LedgerError
from headway.gateway.budgets import Budgets
from headway.gateway.keys import Key
from headway.runtime import Engine

MODEL = "claude-opus-4-8"
HOUR = 3600 * 10**9
DAY = 24 * HOUR
NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()) * 10**9
PLENTY = "requests=100m/min,input_tokens=1g/min,output_tokens=1g/min"


def acme(*budgets: str) -> Key:
    return Key("acme", "acme", Class.STANDARD, budgets=budgets)


@dataclass
class Gateway:
    """An engine with a ledger and budgets, at a time that the test says. What calls take is what the test says, too."""

    ledger: Path | None
    at_ns: int = NOON
    kept: int = 10_000
    news: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = Config(ledger=str(self.ledger) if self.ledger else "none", limits=PLENTY, burst="60s")
        self.engine = Engine(config)
        self.engine.turnstile = Turnstile(
            self.engine.core,
            self.engine.ledger,
            self.engine.turnstile.clock,
            lambda: self.at_ns,
            self.news.append,
        )
        self.budgets = Budgets(self.engine, kept=self.kept)

    def close(self) -> None:
        self.budgets.close()
        self.engine.close()

    def call(
        self,
        key: Key,
        *,
        session: str = "",
        model: str = MODEL,
        job: str = "",
        words: int = 1000,
        caps: tuple[Cap, ...] = (),
    ) -> Call:
        return Call(
            id=self.engine.new_id(),
            path="/v1/messages",
            body=b"",
            identity=Identity("anthropic/opus-4", model),
            estimate=Estimate(float(words), 1000),
            tenant=key.tenant,
            session=session,
            job=job,
            caps=(*caps, *self.budgets.caps(key, session, model, job, self.at_ns)),
        )

    def run(self, key: Key, took: int = 1000, *, reply: Reply | None = None, **names: Any) -> Outcome:
        """One call that takes so many input tokens, or gets this reply."""

        class Sender:
            def send(self, ticket: Ticket, watch: Watch) -> Reply:
                model = ticket.call.identity.model
                return reply or Reply(200, {}, message={}, usage=Usage(took, model=model), total_s=1.0)

        call = self.call(key, words=took, **names)
        driver = SyncDriver(self.engine.turnstile, Sender(), provider="anthropic", retry=Retry(0))
        return driver.run(call)

    def goes(self, key: Key, took: int = 1000, **names: Any) -> bool:
        outcome = self.run(key, took, **names)
        assert outcome.error is None or isinstance(outcome.error, BudgetExceeded), outcome
        return outcome.error is None

    def used(self) -> dict[str, int]:
        return {level.name: level.used for level in self.budgets.levels(self.at_ns)}


Opener = Callable[..., Gateway]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Opener]:
    """Opens gateways, one after the other, on one ledger."""
    opened: list[Gateway] = []

    def open_one(at_ns: int = NOON, **how: Any) -> Gateway:
        for each in opened:
            each.close()
        opened.append(Gateway(**{"ledger": tmp_path / "ledger.sqlite3", "at_ns": at_ns, **how}))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


# --- names and periods --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "name", "unit", "amount"),
    [
        ("20usd/day", "tenant acme, day 2026-11-24", Unit.USD, 20 * 10**9),
        ("5m tokens/hour", "tenant acme, hour 2026-11-24 12:00", Unit.TOKENS, 5_000_000),
        ("9 requests/month", "tenant acme, month 2026-11", Unit.REQUESTS, 9),
        ("50usd", "tenant acme, in all", Unit.USD, 50 * 10**9),
        ("10usd/24h rolling", "tenant acme, last 24h", Unit.USD, 10 * 10**9),
        ("1usd/day per session", "tenant acme, session nightly, day 2026-11-24", Unit.USD, 10**9),
        ("1usd per job", "tenant acme, job j-1, in all", Unit.USD, 10**9),
        ("1usd/day per model soft", f"tenant acme, model {MODEL}, day 2026-11-24 (soft)", Unit.USD, 10**9),
    ],
)
def test_a_cap_is_called_by_whose_it_is_and_by_its_period(
    gateway: Opener, budget: str, name: str, unit: Unit, amount: int
) -> None:
    (cap,) = gateway().budgets.caps(acme(budget), "nightly", MODEL, "j-1", NOON)
    assert (cap.name, cap.unit, cap.amount) == (name, unit, amount)


def test_a_key_without_budgets_has_no_caps(gateway: Opener) -> None:
    assert gateway().budgets.caps(acme(), "s", MODEL, "", NOON) == ()


def test_the_smaller_of_two_that_differ_in_nothing_else_holds(gateway: Opener) -> None:
    caps = gateway().budgets.caps(
        acme("20usd/day", "5usd/day", "9usd/month", "7usd/day soft"), "", MODEL, "", NOON
    )
    assert sorted(cap.amount for cap in caps) == [5 * 10**9, 7 * 10**9, 9 * 10**9]


@pytest.mark.parametrize("session", ["\ud800", "a\0b", "x" * 600, "'; DROP TABLE attempts; --"])
def test_odd_names_are_counted_before_and_after_a_restart(gateway: Opener, session: str) -> None:
    key = acme("3 requests per session")
    assert gateway().goes(key, session=session)
    again = gateway(NOON + HOUR)
    assert again.goes(key, session=session)
    assert list(again.used().values()) == [2 if len(session) <= 500 else 1]


def test_a_new_period_begins_with_nothing_spent_and_the_old_one_is_forgotten(gateway: Opener) -> None:
    one, key = gateway(), acme("2 requests/hour")
    for hour in range(5):
        one.at_ns = NOON + hour * HOUR
        assert [one.goes(key) for _ in range(3)] == [True, True, False]
    assert len(one.engine.core.books.caps.budgets) <= 2
    assert list(one.used().values()) == [2]


def test_a_day_begins_at_midnight_where_the_tenant_is(gateway: Opener) -> None:
    one, key = gateway(NOON - 12 * HOUR + 22 * HOUR), acme("1 requests/day tz=Europe/Berlin")
    assert one.goes(key)
    one.at_ns += HOUR - 1
    assert not one.goes(key)
    one.at_ns += 1
    assert one.goes(key)


def test_each_session_has_its_own_and_those_without_share_one(gateway: Opener) -> None:
    one, key = gateway(), acme("1 requests/day per session")
    assert [one.goes(key, session=session) for session in ("a", "b", "", "a", "")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_call_goes_only_if_all_its_budgets_have_room(gateway: Opener) -> None:
    one, key = gateway(), acme("3 requests/day", "1 requests/day per session")
    went = [one.goes(key, session=session) for session in "aabcd"]
    assert went == [True, False, True, True, False]


def test_a_rolling_budget_frees_what_is_out_of_its_window(gateway: Opener) -> None:
    one, key = gateway(), acme("2 requests/24h rolling")
    assert one.goes(key)
    one.at_ns += 12 * HOUR
    assert [one.goes(key), one.goes(key)] == [True, False]
    one.at_ns += 12 * HOUR
    assert [one.goes(key), one.goes(key)] == [True, False]


def test_it_is_told_when_a_budget_has_room_again(gateway: Opener) -> None:
    one, key = gateway(), acme("1 requests/day", "1 requests/24h rolling", "1usd")
    assert one.goes(key, 1)
    day, rolling, total = one.budgets.caps(key, "", MODEL, "", one.at_ns)
    assert one.budgets.clears_ns(day, one.at_ns) == NOON + 12 * HOUR
    assert one.budgets.clears_ns(rolling, one.at_ns) == NOON + DAY
    assert one.budgets.clears_ns(total, one.at_ns) is None
    assert one.budgets.clears_ns(Cap("session x", Unit.USD, 1), one.at_ns) is None


# --- asked for by callers -----------------------------------------------------------------------------------------


def test_a_budget_that_a_caller_asks_for_is_its_tenants_for_as_long_as_the_gateway_runs(
    gateway: Opener,
) -> None:
    acmes, others = acme(), Key("other", "other", Class.STANDARD)

    def goes(one: Gateway, key: Key, most: int) -> bool:
        asked = one.budgets.asked(key, "nightly", Cap("session nightly", Unit.REQUESTS, most))
        return one.goes(key, session="nightly", caps=(asked,))

    one = gateway()
    assert [goes(one, acmes, 2) for _ in range(3)] == [True, True, False]
    assert goes(one, others, 1)
    assert not goes(one, acmes, 2)
    again = gateway(NOON + HOUR)
    assert goes(again, acmes, 1)
    assert list(again.used()) == ["tenant acme, session nightly, in all (asked for)"]


def test_budgets_that_callers_ask_for_take_no_memory_for_good(gateway: Opener) -> None:
    one, key = gateway(kept=20), acme()
    for number in range(300):
        asked = one.budgets.asked(key, f"s{number}", Cap("x", Unit.USD, 10**9))
        assert one.goes(key, session=f"s{number}", caps=(asked,))
    assert len(one.engine.core.books.caps.budgets) <= 30


# --- soft ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit", ["0.01usd/day", "1000 tokens/day", "2 requests/24h rolling", "0.01usd/day per session"]
)
def test_a_soft_budget_refuses_nothing_and_is_told_of_once(gateway: Opener, unit: str) -> None:
    one, key = gateway(), acme(f"{unit} soft")
    assert all(one.goes(key) for _ in range(20))
    low = [news for news in one.news if isinstance(news, BudgetLow)]
    assert [news.share for news in low][-1] == 1.0
    assert len({news.share for news in low}) == len(low) <= 2
    assert "soft" in low[0].name


def test_a_soft_budget_of_money_lets_models_without_a_price_go_and_a_hard_one_does_not(
    gateway: Opener,
) -> None:
    one = gateway()
    assert one.goes(acme("1usd/day soft"), model="no-such-model")
    assert not one.goes(acme("1usd/day"), model="no-such-model")
    assert one.goes(acme("1m tokens/day"), model="no-such-model")


# --- restarts -----------------------------------------------------------------------------------------------------

KINDS = (
    "1usd/day",
    "1m tokens/hour",
    "1000 requests/month",
    "1usd",
    "1m tokens/24h rolling",
    "1usd/2h rolling per session",
    "1000 requests/day per session",
    "1m tokens per job",
    "1usd/month per model tz=Asia/Kolkata",
    "1usd/day per session per model soft",
)
REFUSED = Reply(400, {}, problem=Problem(Fault.REJECTED, "invalid_request_error", "no", 400), total_s=0.1)
BROKEN = Reply(200, {}, problem=Problem(Fault.FAILED, "connection", "reset"), total_s=0.1, delivered=True)
UNSENT = Reply(None, {}, problem=Problem(Fault.FAILED, "connection", "refused"), sent=False)
REPLIES = (None, None, None, REFUSED, BROKEN, UNSENT)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 9 * HOUR),
        st.integers(1, 30_000),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from([MODEL, "claude-haiku-4-5"]),
        st.sampled_from(REPLIES),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_the_ledger_knows_of_every_budget_what_the_engine_knows(
    steps: Sequence[tuple[int, int, str, str, Reply | None]],
) -> None:
    """To the unit and the nanodollar. One that rolls may hold a little more: it forgets by the piece."""
    key = acme(*KINDS)
    with TemporaryDirectory() as folder:
        one = Gateway(Path(folder) / "ledger.sqlite3")
        for pause, took, name, model, reply in steps:
            one.at_ns += pause
            one.run(key, took, session=name, job=name, model=model, reply=reply)
        known = one.used()
        one.engine.flush()
        one.budgets.close()
        caps = one.engine.core.books.caps
        caps.budgets.clear()
        one.budgets = Budgets(one.engine)
        for _, _, name, model, _ in steps:
            for cap in one.budgets.caps(key, name, model, name, one.at_ns):
                caps.meet(cap)
        again = one.used()
        assert known.keys() <= again.keys()
        for name, used in known.items():
            assert again[name] <= used if "last" in name else again[name] == used, name
        one.close()


def test_a_restart_forgets_nothing(gateway: Opener) -> None:
    key = acme(*KINDS)
    one = gateway()
    for took in (1000, 20_000, 300):
        assert one.goes(key, took, session="a", job="j")
        one.at_ns += 60 * 10**9
    known, at_ns = one.used(), one.at_ns
    two = gateway(at_ns)
    two.budgets.warm((key,), at_ns)
    assert two.used().items() <= known.items()
    assert len(two.used()) == 5
    assert two.run(key, reply=UNSENT, session="a", job="j").error is None
    assert two.used() == known


DIES = """
import os, sys
from headway.core.call import Class
from headway.core.ports import OpenEntry
from headway.ledger.sqlite import SqliteLedger

path, at_ns, model = sys.argv[1:]
ledger = SqliteLedger(path)
names = ("c-1-1", "c-1", 1, int(at_ns), "anthropic", "anthropic/opus-4", model, "acme")
ledger.open(OpenEntry(*names, Class.STANDARD, "", "", "", 4000, 500, 0.0, False))
ledger.flush()
os._exit(7)
"""


def test_what_a_killed_process_had_in_flight_counts_by_its_estimate(gateway: Opener, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path / "ledger.sqlite3"), str(NOON), MODEL],
        check=False,
        timeout=60,
    )
    assert done.returncode == 7
    one = gateway(NOON + HOUR)
    one.budgets.warm((acme("10m tokens/day"),), one.at_ns)
    assert list(one.used().values()) == [4500]


def test_other_tenants_and_other_times_are_not_counted(gateway: Opener) -> None:
    one = gateway(NOON - DAY)
    assert one.goes(acme())
    one.at_ns = NOON
    assert one.goes(Key("other", "other", Class.STANDARD))
    assert one.goes(acme(), session="s")
    again = gateway(NOON + HOUR)
    again.budgets.warm((acme("1000 requests/day"),), again.at_ns)
    assert list(again.used().values()) == [1]


def test_without_a_ledger_budgets_hold_until_the_gateway_ends_and_the_log_says_so_once(
    gateway: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    one, key = gateway(ledger=None, kept=3), acme("1 requests/day per session")
    for number in range(50):
        assert one.goes(key, session=str(number))
    assert not any(one.goes(key, session=str(number)) for number in range(50))
    assert one.goes(Key("other", "other", Class.STANDARD, budgets=("1usd",)))
    assert caplog.messages == ["budgets without a ledger: a restart forgets what was spent"]


def test_a_ledger_that_cannot_be_read_lets_no_call_go_that_has_a_budget(
    gateway: Opener, tmp_path: Path
) -> None:
    ledger, aside = tmp_path / "ledger.sqlite3", tmp_path / "aside"
    gateway().goes(acme())
    one = gateway(NOON + HOUR)
    ledger.rename(aside)
    ledger.write_bytes(b"this is no database, however long it is" * 100)
    with pytest.raises(LedgerError):
        one.run(acme("1usd/day"))
    aside.replace(ledger)
    assert one.goes(acme("2 requests/day"))
    assert not one.goes(acme("2 requests/day"))


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "budget", ["2 requests/day per session", "2 requests/2h rolling per session", "2 requests per session"]
)
@pytest.mark.parametrize("has_ledger", [True, False])
def test_budgets_that_nobody_uses_are_put_aside_where_there_are_many_and_known_when_they_come_back(
    gateway: Opener, budget: str, has_ledger: bool
) -> None:
    one, key = gateway(kept=20, **({} if has_ledger else {"ledger": None})), acme(budget)
    assert one.goes(key, session="first")
    for number in range(300):
        assert one.goes(key, session=f"s{number}")
    assert len(one.engine.core.books.caps.budgets) <= 30
    assert [one.goes(key, session="first"), one.goes(key, session="first")] == [True, False]


def test_a_budget_that_is_in_use_is_never_forgotten(gateway: Opener) -> None:
    one, key = gateway(kept=5), acme("1000 requests/day", "1000 requests/day per session")
    first = one.engine.core.books.caps
    for number in range(100):
        assert one.goes(key, session=f"s{number}")
    assert first.budgets["tenant acme, day 2026-11-24", Unit.REQUESTS].spent == 100


# --- many at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "budget", ["1usd/day", "100k tokens/hour", "60 requests/24h rolling", "0.2usd/day per session"]
)
@pytest.mark.parametrize("seed", range(3))
def test_five_hundred_at_once_pass_a_cap_by_no_more_than_what_calls_in_flight_took_unexpectedly(
    gateway: Opener, budget: str, seed: int
) -> None:
    """The bound: used <= cap + the sum over calls of what they took beyond what was held for them.

    Only calls that were in flight when the cap was reached can take it further: afterwards none is let go.
    """
    random, one = Random(seed), gateway()
    key = acme(budget)
    calls = [one.call(key, session=str(n % 4), words=random.randint(100, 4000)) for n in range(500)]
    caps = {cap.name: cap for call in calls for cap in call.caps}
    beyond = dict.fromkeys(caps, 0)
    books, outcomes = one.engine.core.books.caps.budgets, list[Outcome]()

    class Sender:
        async def send(self, ticket: Ticket, watch: Watch) -> Reply:
            (cap,) = ticket.call.caps
            held = ticket.input_tokens + ticket.output_tokens
            expected = {
                Unit.TOKENS: round(held),
                Unit.REQUESTS: 1,
                Unit.USD: one.engine.prices.estimate(
                    MODEL, round(ticket.input_tokens), round(ticket.output_tokens), NOON
                ),
            }[cap.unit]
            for _ in range(random.randint(0, 20)):
                await anyio.lowlevel.checkpoint()
            usage = Usage(random.randint(50, 5000), output_tokens=random.randint(1, 1000), model=MODEL)
            took = {
                Unit.TOKENS: usage.input_tokens + usage.output_tokens,
                Unit.REQUESTS: 1,
                Unit.USD: one.engine.prices.cost(MODEL, usage, NOON).nanousd,
            }[cap.unit]
            assert expected is not None
            assert took is not None
            beyond[cap.name] += max(took - expected, 0)
            return Reply(200, {}, message={}, usage=usage, total_s=1.0)

    async def one_call(driver: AioDriver, call: Call) -> None:
        outcomes.append(await driver.run(call))
        for budget in books.values():
            assert budget.spent + budget.held <= budget.cap + beyond[budget.name]

    async def main() -> None:
        driver = AioDriver(one.engine.turnstile, Sender(), provider="anthropic", retry=Retry(0))
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(one_call, driver, call)

    anyio.run(main)
    refused = [outcome for outcome in outcomes if isinstance(outcome.error, BudgetExceeded)]
    assert 0 < len(refused) < len(calls)
    assert all(outcome.error is None or outcome in refused for outcome in outcomes)
    for name, cap in caps.items():
        budget_ = books[name, cap.unit]
        assert budget_.held == budget_.in_flight == 0
        assert 0.5 * cap.amount < budget_.spent <= cap.amount + beyond[name]


def test_a_call_that_is_cancelled_gives_back_what_it_held(gateway: Opener) -> None:
    one, key = gateway(), acme("10 requests/day", "1usd/day")
    sent, all_sent = [], anyio.Event()

    class Sender:
        async def send(self, ticket: Ticket, watch: Watch) -> Reply:
            sent.append(ticket)
            if len(sent) == 5:
                all_sent.set()
            await anyio.sleep_forever()
            raise AssertionError

    async def main() -> None:
        driver = AioDriver(one.engine.turnstile, Sender(), provider="anthropic", retry=Retry(0))
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(driver.run, one.call(key))
            await all_sent.wait()
            assert [level.held for level in one.budgets.levels(one.at_ns) if level.unit == "requests"] == [5]
            tasks.cancel_scope.cancel()

    anyio.run(main)
    levels = one.budgets.levels(one.at_ns)
    assert {level.held for level in levels} == {0}
    assert {level.used for level in levels if level.unit == "requests"} == {5}  # they may have been billed


def test_a_budget_that_is_raised_while_it_runs_lets_calls_go_again(gateway: Opener) -> None:
    one = gateway()
    assert [one.goes(acme("1 requests/day")) for _ in range(2)] == [True, False]
    assert [one.goes(acme("2 requests/day")) for _ in range(2)] == [True, False]
    assert one.used() == {"tenant acme, day 2026-11-24": 2}


def test_a_budget_that_stands_on_no_key_any_more_refuses_nothing_is_not_shown_and_is_forgotten(
    gateway: Opener,
) -> None:
    one = gateway()
    assert one.goes(acme("1 requests", "9 requests/day"))
    assert not one.goes(acme("1 requests", "9 requests/day"))
    assert one.goes(acme("9 requests/day"))
    assert list(one.used()) == ["tenant acme, day 2026-11-24"]
    for name in range(5):
        assert one.goes(Key(f"t{name}", f"t{name}", Class.STANDARD, budgets=("1 requests",)))
        one.engine.flush()
    assert "tenant acme, in all" not in {name for name, _ in one.engine.core.books.caps.budgets}
    assert not one.goes(acme("1 requests"))
