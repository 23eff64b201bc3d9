from __future__ import annotations

from array import array

from headway.jobs.order import Cell, Kind
from headway.workbench.bench import Blocks


def kind(pool: str = "p", prefix: str = "") -> Kind:
    return Kind(pool, "m", prefix, 5, 5)


def blocks(**numbers: list[int]) -> Blocks:
    return Blocks([Cell(kind(prefix=prefix), array("I", found)) for prefix, found in numbers.items()])


def any_pool(_pool: str) -> bool:
    return True


def any_kind(_kind: Kind) -> bool:
    return True


def test_calls_go_in_the_order_in_which_they_stand() -> None:
    order = blocks(a=[0, 3, 4], b=[1, 2, 5])
    numbers = []
    while (found := order.next(any_pool, any_kind)) is not None:
        numbers.append(found[0])
    assert numbers == [0, 1, 2, 3, 4, 5]
    assert order.left == 0


def test_what_may_not_go_yet_lets_the_next_one_pass_and_keeps_its_turn() -> None:
    order = blocks(a=[0, 1, 4], b=[2, 3])
    found = order.next(any_pool, lambda kind: kind.prefix != "a")
    assert found is not None
    assert (found[0], found[1].prefix) == (2, "b")
    again = order.next(any_pool, any_kind)
    assert again is not None
    assert again[0] == 0
    assert order.left == 3


def test_where_nothing_may_go_nothing_goes() -> None:
    order = blocks(a=[0, 1])
    assert order.next(lambda _pool: False, any_kind) is None
    assert order.next(any_pool, lambda _kind: False) is None
    assert order.left == 2


def test_it_looks_only_a_little_ahead_so_that_pairs_stay_together() -> None:
    order = blocks(a=list(range(1000)), b=[1000])
    assert order.next(any_pool, lambda kind: kind.prefix == "b") is None
