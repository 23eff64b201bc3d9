"""What crosses to another process and what does not: a forked child begins anew, and nothing can be pickled."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import anthropic
import pytest

import headway
from headway.runtime import Engine
from transport.conftest import Ours
from transport.flavours import Flavour, done, hello
from transport.provider import PATIENCE_S, Provider
from transport.replies import MODEL

# Python 3.12 warns of every fork in a process with threads, which is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_child(act: Any) -> int:
    """Fork, act in the child, and return what it exits with; it never returns into the test."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = act()
        finally:
            os._exit(code)
    killer = threading.Timer(PATIENCE_S, os.kill, (child, 9))
    killer.start()
    _, status = os.waitpid(child, 0)
    killer.cancel()
    return os.waitstatus_to_exitcode(status)


def an_sdk(url: str, engine: Engine) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="any", http_client=headway.client(engine=engine))


def test_a_forked_child_works_with_connections_and_pacing_of_its_own(provider: Provider, ours: Ours) -> None:
    engine = ours.again(limits="requests=1", burst="requests=1")  # a minute between calls
    with an_sdk(provider.url, engine) as sdk:
        sdk.messages.create(**hello())

        def act() -> int:
            sdk.messages.create(**hello())  # at once: the child's own bucket is full
            engine.flush()
            return int(engine.core.in_flight != 0)

        assert in_child(act) == 0
        assert provider.connections == 2
        with headway.session("hasty", max_wait=1), pytest.raises(headway.WouldWaitTooLong):
            sdk.messages.create(**hello())
    provider.until(lambda: len(provider.requests) == 2)
    assert len(ours.rows()) == 2


def test_a_fork_says_that_it_paces_on_its_own(provider: Provider, engine: Engine, tmp_path: Path) -> None:
    said = tmp_path / "said"
    handler = logging.FileHandler(said)
    log = logging.getLogger("headway")
    log.addHandler(handler)
    try:
        assert in_child(lambda: 0) == 0
    finally:
        log.removeHandler(handler)
        handler.close()
    assert "was forked" in said.read_text()


def test_a_fork_in_the_middle_of_everything_does_not_hang(provider: Provider, ours: Ours) -> None:
    """Other threads hold the locks of the engine at that moment, or wait in line; the child does not care."""
    engine = ours.again(concurrency=1)
    with an_sdk(provider.url, engine) as sdk:
        inside, out = threading.Event(), threading.Event()

        def hold() -> None:
            inside.set()
            out.wait(PATIENCE_S)

        holder = threading.Thread(target=engine.turnstile.look, args=(hold,), daemon=True)
        holder.start()
        assert inside.wait(PATIENCE_S)

        def act() -> int:
            reply = sdk.messages.create(**hello())
            engine.flush()
            return int(reply.usage.output_tokens != 7)

        assert in_child(act) == 0
        out.set()
        holder.join(PATIENCE_S)
        assert sdk.messages.create(**hello()).content
    assert len(ours.rows()) == 2


def test_a_reply_that_the_parent_reads_is_the_parents_alone(
    provider: Provider, ours: Ours, engine: Engine
) -> None:
    with an_sdk(provider.url, engine) as sdk:
        running: Any = sdk.messages.create(**hello(), stream=True)

        def act() -> int:
            nonlocal running
            running = None  # what the collector finds in the child
            gc.collect()
            engine.flush()
            return 0

        assert in_child(act) == 0
        assert [event.type for event in running][-1] == "message_stop"
    assert [(row["outcome"], row["output_tokens"]) for row in ours.rows()] == [("ok", 7)]


def _child(url: str) -> None:
    with anthropic.Anthropic(base_url=url, api_key="any", http_client=headway.client(ledger="none")) as sdk:
        sdk.messages.create(**hello())


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_of_multiprocessing_make_their_own(start: str, provider: Provider, engine: Engine) -> None:
    if start == "spawn":
        script = f"""
            import anthropic, headway
            sdk = anthropic.Anthropic(base_url={provider.url!r}, api_key="any", http_client=headway.client(ledger="none"))
            sdk.messages.create(model={MODEL!r}, max_tokens=10, messages=[{{"role": "user", "content": "Hi"}}])
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=PATIENCE_S)
    else:
        process = multiprocessing.get_context("fork").Process(target=_child, args=(provider.url,))
        process.start()
        process.join(PATIENCE_S)
        assert process.exitcode == 0
        process.close()
    assert len(provider.requests) == 1


def test_nothing_that_holds_connections_can_be_pickled_and_it_says_what_to_do(
    flavour: Flavour, provider: Provider, engine: Engine
) -> None:
    with pytest.raises(TypeError, match=r"headway\.Engine\(\)"):
        pickle.dumps(engine)

    async def play() -> None:
        sdk = flavour.sdk(provider.url, engine)
        for held in (sdk._client._transport, sdk._client):
            with pytest.raises(TypeError, match=r"headway\.(async_)?client\(\)"):
                pickle.dumps(held)
        await done(sdk.close())

    flavour.run(play)
