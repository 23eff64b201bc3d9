"""Budgets over real sockets: an emulated API keeps books of its own, and they agree with the budgets and the ledger."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.serving import Serving, error_of, header, post, status, talk
from headway.gateway.budgets import Budgets
from headway.gateway.keyfile import Proof, Stored, edit_keys
from headway.gateway.keys import new_secret
from headway.testing.emulated import Emulator

TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
)


class Spending(Serving):
    """A gateway whose keys have budgets."""

    async def _serve(self, ready: threading.Event) -> None:
        self.budgets = Budgets(self.engine)
        self._options = {"budgets": self.budgets}
        await super()._serve(ready)

    def used(self) -> dict[tuple[str, str], int]:
        self.rows()  # all has ended, and is on file
        return {(level.name, level.unit): level.used for level in self.budgets.levels(time.time_ns())}

    def close(self) -> None:
        super().close()
        self.budgets.close()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("any/unlimited?ttft=0.01&speed=2000&output_mean=100") as running:
        yield running


@pytest.fixture
def begin(tmp_path: Path, emulator: Emulator) -> Iterator[Callable[..., Spending]]:
    """Begins gateways on one ledger and one file of keys, one after the other."""
    running: list[Spending] = []

    def begin() -> Spending:
        for each in running:
            each.close()
        running[:] = [
            Spending(
                emulator.url,
                tmp_path / "ledger.sqlite3",
                keys=tmp_path / "keys.json",
                is_open=False,
                limits=PLENTY,
            )
        ]
        return running[0]

    yield begin
    for each in running:
        each.close()


PLENTY = "requests=1m/min,input_tokens=1g/min,output_tokens=1g/min"


@pytest.fixture
def key(tmp_path: Path) -> Callable[..., str]:
    def make(name: str, *budgets: str) -> str:
        secret, digest = new_secret(name)
        proof = Proof(sha256=digest, added=datetime.now(UTC))
        with edit_keys(tmp_path / "keys.json") as stored:
            stored.append(Stored(name=name, tenant=name, budgets=budgets, proofs=(proof,)))
        return secret

    return make


def ask(port: int, secret: str, *headers: str, stream: bool = False) -> bytes:
    body = {
        "model": "claude-opus-4-8",
        "max_tokens": 200,
        "stream": stream,
        "messages": [{"role": "user", "content": "Tell me about budgets. " * 20}],
    }
    return talk(port, post(json.dumps(body).encode(), "/v1/messages", f"x-api-key: {secret}", *headers))


def test_what_is_spent_is_what_the_provider_says_and_a_restart_knows_it(
    begin: Callable[..., Spending], key: Callable[..., str], emulator: Emulator
) -> None:
    """60 calls, 16 at a time, whole and streamed; the budget lets only some of them go."""
    secret = key("acme", "0.05usd", "1g tokens soft", "1m requests soft")
    one = begin()
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: ask(one.port, secret, stream=n % 3 == 0), range(60)))
    went = [reply for reply in replies if status(reply) == 200]
    refused = [reply for reply in replies if status(reply) == 402]
    assert len(went) + len(refused) == 60
    assert went
    assert refused
    stats, rows, used = emulator.stats(), one.rows(), one.used()
    assert stats["completed"] == len(went) == used["tenant acme, in all (soft)", "requests"]
    tokens = sum(row[name] for row in rows for name in TOKENS)
    assert sum(stats["tokens"].values()) == tokens == used["tenant acme, in all (soft)", "tokens"]
    spent = used["tenant acme, in all", "usd"]
    assert spent == sum(row["cost_nanousd"] for row in rows) == round(stats["spent_usd"] * 1e9)
    told = error_of(refused[-1])
    assert told["error"]["type"] == "billing_error"
    assert "tenant acme, in all" in json.dumps(told)

    again = begin()
    again.budgets.warm(again.keys.all(), time.time_ns())
    assert again.used() == used
    replies = [ask(again.port, secret) for _ in range(20)]
    assert status(replies[-1]) == 402
    assert emulator.stats()["completed"] == len(went) + sum(status(reply) == 200 for reply in replies)


def test_a_refusal_says_when_the_budget_has_room_again(
    begin: Callable[..., Spending], key: Callable[..., str]
) -> None:
    secret = key("acme", "1 requests/24h rolling")
    one = begin()
    assert status(ask(one.port, secret)) == 200
    one.rows()
    refused = ask(one.port, secret)
    assert status(refused) == 402
    assert 86_000 < int(header(refused, "retry-after") or 0) <= 86_400


def test_one_tenant_never_spends_the_budget_of_another(
    begin: Callable[..., Spending], key: Callable[..., str]
) -> None:
    acme, other = key("acme", "1 requests/day per session"), key("other", "1 requests/day per session")
    one = begin()
    assert [status(ask(one.port, secret, "headway-session: s")) for secret in (acme, other, acme, other)] == [
        200,
        200,
        402,
        402,
    ]


def test_budgets_of_a_new_key_hold_from_a_reload_on(
    begin: Callable[..., Spending], key: Callable[..., str]
) -> None:
    first = key("acme")
    one = begin()
    assert [status(ask(one.port, first)) for _ in range(3)] == [200] * 3
    key("more", "1 requests/day")
    with edit_keys(one.ledger.parent / "keys.json") as stored:
        stored[1] = Stored(name="more", tenant="acme", budgets=("4 requests/day",), proofs=stored[1].proofs)
    one.rows()  # what is on file counts from the start
    one.keys.reload()
    assert [status(ask(one.port, first)) for _ in range(2)] == [200, 402]


def test_a_budget_that_one_tenant_sets_on_a_session_is_no_business_of_another(
    begin: Callable[..., Spending], key: Callable[..., str]
) -> None:
    acme, bob = key("acme"), key("bob")
    one = begin()
    said = ("headway-session: nightly", "headway-budget: 1 request")
    assert [status(ask(one.port, acme, *said)) for _ in range(2)] == [200, 402]
    assert [status(ask(one.port, bob, *said)) for _ in range(2)] == [200, 402]


def test_a_budget_for_each_job_counts_the_calls_of_that_job_alone(
    begin: Callable[..., Spending], key: Callable[..., str]
) -> None:
    secret = key("acme", "1 requests per job")
    one = begin()
    went = [status(ask(one.port, secret, f"headway-job: {job}")) for job in ("import", "import", "export")]
    assert went == [200, 402, 200]
    assert sorted(row["job"] for row in one.rows()) == ["export", "import"]
