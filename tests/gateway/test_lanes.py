"""A key with a bound never has more calls than that, and no place is lost, however those who wait end."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from headway.core.call import Class
from headway.errors import WouldWaitTooLong
from headway.gateway.keys import Key
from headway.gateway.lanes import Lanes

INFINITY = float("inf")


def key(most: int | None, name: str = "a") -> Key:
    return Key(name, name, Class.STANDARD, most_in_flight=most)


def test_a_key_without_a_bound_never_waits() -> None:
    async def enter() -> None:
        lanes = Lanes()
        for _ in range(100):
            await lanes.enter(key(None), 0.0)

    asyncio.run(enter())


def test_places_go_round_first_come_first_served() -> None:
    async def enter() -> list[int]:
        lanes, bound, order = Lanes(), key(2), []
        await lanes.enter(bound, INFINITY)
        await lanes.enter(bound, INFINITY)

        async def wait(number: int) -> None:
            await lanes.enter(bound, INFINITY)
            order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(3)]
        await asyncio.sleep(0)
        assert order == []
        for _ in range(3):
            lanes.leave(bound)
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(enter()) == [0, 1, 2]


def test_keys_do_not_hold_each_other_up() -> None:
    async def enter() -> None:
        lanes = Lanes()
        await lanes.enter(key(1, "a"), INFINITY)
        await lanes.enter(key(1, "b"), 0.0)

    asyncio.run(enter())


def test_who_waits_too_long_is_told_for_what() -> None:
    async def enter() -> None:
        lanes, bound = Lanes(), key(1)
        await lanes.enter(bound, INFINITY)
        with pytest.raises(WouldWaitTooLong) as refused:
            await lanes.enter(bound, 0.0)
        assert refused.value.limit == "1 call at a time of the key 'a'"
        lanes.leave(bound)
        await lanes.enter(bound, 0.0)

    asyncio.run(enter())


@pytest.mark.parametrize("seed", range(20))
def test_no_place_is_lost_and_none_given_twice(seed: int) -> None:
    random, most = Random(seed), 3

    async def storm() -> None:
        lanes, bound, running, peak = Lanes(), key(3), 0, 0

        async def call(turns: int) -> None:
            nonlocal running, peak
            await lanes.enter(bound, INFINITY)
            running += 1
            peak = max(peak, running)
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                running -= 1
                lanes.leave(bound)

        tasks = [asyncio.create_task(call(random.randrange(5))) for _ in range(60)]
        while not all(task.done() for task in tasks):
            random.choice(tasks).cancel()
            await asyncio.sleep(0)
        assert peak <= most
        for _ in range(most):
            await lanes.enter(bound, 0.0)
        with pytest.raises(WouldWaitTooLong):
            await lanes.enter(bound, 0.0)

    asyncio.run(storm())
