from __future__ import annotations

from array import array
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headway.jobs.order import Cell, Kind, Order


def cell(
    lines: range | list[int], *, pool: str = "p", prefix: str = "", octave: int = 5, most: int = 7
) -> Cell:
    return Cell(Kind(pool, "m", prefix, octave, most), array("I", lines))


def everything(order: Order) -> list[int]:
    found = []
    while (picked := order.next(lambda _pool: True, lambda _kind: True)) is not None:
        found.append(picked[0])
    return found


@given(st.lists(st.integers(1, 60), max_size=6))
def test_every_line_comes_exactly_once(sizes: list[int]) -> None:
    cells, start = [], 0
    for octave, size in enumerate(sizes):
        cells.append(cell(range(start, start + size), octave=octave))
        start += size
    order = Order(cells)
    assert order.left == start
    assert sorted(everything(order)) == list(range(start))
    assert order.left == 0


def test_every_stretch_of_the_order_is_a_fair_sample_of_the_file() -> None:
    order = everything(Order([cell(range(600), octave=10), cell(range(600, 1200), octave=3, most=11)]))
    for start in range(0, 1000, 100):
        heavy = sum(number < 600 for number in order[start : start + 100])
        assert 40 <= heavy <= 60
        low = sum(number < 300 for number in order[start : start + 100] if number < 600)
        assert 0.3 * heavy <= low <= 0.7 * heavy


def test_long_replies_are_not_at_the_end() -> None:
    order = everything(Order([cell(range(500), most=6), cell(range(500, 1000), most=12)]))
    assert all(number < 500 for number in order[-20:])


def test_a_kind_that_may_not_go_yet_waits_without_holding_up_the_others() -> None:
    order = Order([cell(range(10), prefix="x"), cell(range(10, 20))])
    found = [order.next(lambda _pool: True, lambda kind: not kind.prefix) for _ in range(10)]
    assert sorted(picked[0] for picked in found if picked) == list(range(10, 20))
    assert order.next(lambda _pool: True, lambda kind: not kind.prefix) is None
    assert order.left == 10
    assert sorted(everything(order)) == list(range(10))


def test_a_pool_whose_line_is_full_does_not_hold_up_another() -> None:
    order = Order([cell(range(10), pool="full"), cell(range(10, 20), pool="free")])
    asked: Counter[str] = Counter()

    def may(kind: Kind) -> bool:
        asked[kind.pool] += 1
        return True

    for _ in range(10):
        picked = order.next(lambda pool: pool == "free", may)
        assert picked is not None
        assert picked[1].pool == "free"
    assert asked == {"free": 10}


def test_the_likely_output_is_a_mean_over_all_lines() -> None:
    order = Order([cell(range(30), most=7), cell(range(30, 40), most=9)])
    assert order.likely_output(lambda most: most) == (30 * 96 + 10 * 384) / 40


@given(st.lists(st.integers(1, 80), min_size=1, max_size=5), st.integers(0, 120), st.integers(0, 200))
def test_who_skips_ahead_finds_the_end_of_the_same_order(sizes: list[int], first: int, left: int) -> None:
    def cells() -> list[Cell]:
        made, start = [], 0
        for number, size in enumerate(sizes):
            made.append(cell(range(start, start + size), octave=number, most=7 + number))
            start += size
        return made

    whole, order = everything(Order(cells())), Order(cells())
    begun = [
        picked[0] for _ in range(first) if (picked := order.next(lambda _pool: True, lambda _kind: True))
    ]
    before = order.left
    order.skip_to(left)
    assert abs(order.left - min(left, before)) <= len(sizes)
    end = everything(order)
    assert not set(begun) & set(end)
    near = set(whole[-len(end) - len(sizes) :]) if end else set()
    assert set(end) <= near
