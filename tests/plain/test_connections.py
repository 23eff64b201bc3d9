"""Connections are shared, and closed when what they belong to ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest
import trio

from headway.plain import connections
from headway.plain.send import async_send, send
from headway.runtime import Engine
from plain.conftest import KEY
from transport.provider import Provider
from transport.replies import MODEL, http, message


def test_one_call_after_the_other_uses_the_same_connection(engine: Engine, provider: Provider) -> None:
    for _ in range(3):
        send("Hello", model=MODEL, engine=engine)
    assert provider.connections == 1


def test_threads_share_connections_and_each_gets_its_own_answer(engine: Engine, provider: Provider) -> None:
    provider.answer = lambda request: [http(message(request.json["messages"][0]["content"]))]
    got: dict[int, str] = {}

    def ask(number: int) -> None:
        got[number] = send(f"I am {number}", model=MODEL, engine=engine).text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: f"I am {number}" for number in range(12)}


def test_a_loop_shares_connections_and_closes_them_at_its_end(engine: Engine, provider: Provider) -> None:
    async def ask() -> None:
        await async_send("Hello", model=MODEL, engine=engine)
        await async_send("Hello", model=MODEL, engine=engine)
        assert provider.open_connections() == 1

    for number, run in enumerate((lambda: asyncio.run(ask()), lambda: trio.run(ask)) * 2, 1):
        run()
        assert provider.connections == number
        provider.until(lambda: provider.open_connections() == 0)


def test_calls_of_one_loop_at_once_are_answered_each_with_its_own(engine: Engine, provider: Provider) -> None:
    provider.answer = lambda request: [http(message(request.json["messages"][0]["content"]))]

    async def ask() -> list[str]:
        answers = await asyncio.gather(
            *(async_send(f"I am {number}", model=MODEL, engine=engine) for number in range(12))
        )
        return [answer.text for answer in answers]

    assert asyncio.run(ask()) == [f"I am {number}" for number in range(12)]


@pytest.mark.parametrize(
    "way",
    ["send('Hello', model='x', engine=engine)", "asyncio.run(async_send('Hello', model='x', engine=engine))"],
)
def test_a_program_that_ends_leaves_nothing_open(way: str, provider: Provider) -> None:
    program = (
        "import asyncio\nfrom headway import Engine, async_send, send\n"
        f"engine = Engine(base_url={provider.url!r}, api_key='any', ledger='none')\n{way}\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    provider.until(lambda: provider.open_connections() == 0)


def test_a_forked_child_leaves_its_parents_connections_alone(engine: Engine, provider: Provider) -> None:
    send("Hello", model=MODEL, engine=engine)
    read, write = os.pipe()
    child = os.fork()
    if (
        child == 0
    ):  # the child: say how many connections it was left, and end without any of the parent's ceremony
        os.write(write, str(len(connections._open)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"0"
    os.close(read)
    os.close(write)
    send("Hello", model=MODEL, engine=engine)
    assert provider.connections == 1


def test_calls_go_through_the_proxy_of_the_environment(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", provider.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Engine(base_url="http://api.invalid", api_key=KEY, ledger="none", retries=0) as engine:
        assert send("Hello", model=MODEL, engine=engine).text == "Hello there"
        assert asyncio.run(async_send("Hello", model=MODEL, engine=engine)).text == "Hello there"
    assert [request.path for request in provider.requests] == ["http://api.invalid/v1/messages"] * 2
    for proxied in [key for key in connections._open if key is not None]:
        connections._open.pop(proxied).close()
