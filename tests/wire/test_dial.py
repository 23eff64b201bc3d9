from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.wire.dial import dial, in_turn, race

Address = tuple[int, Any]


@contextlib.contextmanager
def listening() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield socket.AF_INET, server.getsockname()


@contextlib.contextmanager
def deaf() -> Iterator[Address]:
    """Where SYN packets get no answer: the queue of the listener is full."""
    with socket.socket() as server, socket.socket() as first:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        first.connect(server.getsockname())
        yield socket.AF_INET, server.getsockname()


def refusing() -> Address:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return socket.AF_INET, free.getsockname()


def test_an_address_that_leads_nowhere_costs_a_moment_only(run: Any) -> None:
    async def main() -> None:
        with deaf() as nowhere, listening() as good:
            async with asyncio.timeout(5):
                sock = await race([nowhere, nowhere, good])
            assert sock.getpeername() == good[1]
            sock.close()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}  # the attempts that lost are over

    run(main())


def test_an_address_that_refuses_costs_nothing(run: Any) -> None:
    async def main() -> None:
        with listening() as good:
            async with asyncio.timeout(0.2):  # less than a head start
                sock = await race([refusing(), good])
            assert sock.getpeername() == good[1]
            sock.close()

    run(main())


def test_when_all_fail_the_failure_is_told(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await race([refusing(), refusing()])
        with pytest.raises(OSError, match="no address"):
            await race([])

    run(main())


@pytest.mark.parametrize("after", range(12))
def test_a_race_cancelled_at_any_turn_closes_what_it_opened(run: Any, after: int) -> None:
    """A socket left open is a ResourceWarning, which fails the test."""

    async def main() -> None:
        with listening() as good, deaf() as nowhere:
            dialling = asyncio.ensure_future(race([nowhere, good] if after % 2 else [good, nowhere]))
            for _ in range(after // 2):
                await asyncio.sleep(0)
            dialling.cancel()
            (outcome,) = await asyncio.gather(dialling, return_exceptions=True)
            if isinstance(outcome, socket.socket):
                outcome.close()

    run(main())


def test_a_name_is_looked_up(run: Any) -> None:
    async def main() -> None:
        with listening() as (_, address):
            sock = await dial("localhost", address[1])
            assert sock.getpeername() == address
            sock.close()
        with pytest.raises(UnicodeError):
            await dial("a" * 64, 80)

    run(main())


@given(families=st.lists(st.sampled_from([socket.AF_INET, socket.AF_INET6]), min_size=1, max_size=6))
def test_families_take_turns_and_no_address_is_lost(families: list[int]) -> None:
    addresses = [(family, place) for place, family in enumerate(families)]
    ordered = in_turn(addresses)
    assert sorted(ordered) == sorted(addresses)
    assert ordered[0] == addresses[0]
    if len(set(families)) == 2:
        assert ordered[1][0] != ordered[0][0]
    for family in set(families):
        assert [each for each in ordered if each[0] == family] == [
            each for each in addresses if each[0] == family
        ]
