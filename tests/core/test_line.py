"""Rules of the line: who is next, and that it is fair."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Class
from headway.core.line import STALE_KEPT, Line, Place
from world import a_call


def place(name: str, *, tenant: str = "a", class_: Class = Class.STANDARD, weight: float = 1.0) -> Place:
    return Place(a_call(name, tenant=tenant, class_=class_, weight=weight), 0.0)


def serve(line: Line, cost: float = 1.0) -> str:
    return line.serve(cost).call.id


def test_an_empty_line_has_no_head() -> None:
    line = Line()
    assert line.head() is None
    assert len(line) == 0


def test_a_tenants_calls_go_first_come_first_served() -> None:
    line = Line()
    for name in "123":
        line.join(place(name))
    assert [serve(line) for _ in range(3)] == ["1", "2", "3"]


def test_the_head_is_who_is_served_next() -> None:
    line = Line()
    for name, tenant in (("1", "a"), ("2", "b"), ("3", "a")):
        line.join(place(name, tenant=tenant))
    while (head := line.head()) is not None:
        assert line.serve(1.0) is head


def test_who_passes_an_empty_line_has_been_served_as_much_as_who_stood_in_it() -> None:
    passing, standing = Line(), Line()
    for number, tenant in enumerate("aabaa"):
        one = place(f"{number}", tenant=tenant)
        passing.pass_by(one, 2.0)
        standing.join(place(f"{number}", tenant=tenant))
        standing.serve(2.0)
    for line in (passing, standing):
        for number in range(3):
            line.join(place(f"a{number}", tenant="a"))
            line.join(place(f"b{number}", tenant="b"))
            line.join(place(f"i{number}", tenant="c", class_=Class.INTERACTIVE))
    assert [serve(passing) for _ in range(9)] == [serve(standing) for _ in range(9)]


def test_tenants_take_turns() -> None:
    line = Line()
    for number in range(3):
        line.join(place(f"a{number}", tenant="a"))
    for number in range(3):
        line.join(place(f"b{number}", tenant="b"))
    served = [serve(line)[0] for _ in range(6)]
    assert sorted(served[:2]) == sorted(served[2:4]) == sorted(served[4:]) == ["a", "b"]


def test_a_tenant_of_twice_the_weight_gets_twice_the_service() -> None:
    line = Line()
    for number in range(60):
        line.join(place(f"a{number}", tenant="a", weight=2.0))
        line.join(place(f"b{number}", tenant="b", weight=1.0))
    served = [serve(line)[0] for _ in range(60)]
    assert served.count("a") == pytest.approx(40, abs=2)


def test_large_calls_count_for_more_than_small_ones() -> None:
    """Token-weighted: a tenant of calls ten times as large gets a tenth as many."""
    line = Line()
    for number in range(100):
        line.join(place(f"a{number}", tenant="a"))
        line.join(place(f"b{number}", tenant="b"))
    served = []
    for _ in range(66):
        head = line.head()
        assert head is not None
        served.append(serve(line, 10.0 if head.call.tenant == "a" else 1.0)[0])
    assert served.count("b") == pytest.approx(10 * served.count("a"), abs=11)


@pytest.mark.parametrize("place_in_line", ["first", "middle", "last"])
def test_anyone_can_leave_from_anywhere(place_in_line: str) -> None:
    line = Line()
    places = {name: place(name) for name in ("first", "middle", "last")}
    for one in places.values():
        line.join(one)
    assert line.leave(places[place_in_line])
    assert len(line) == 2
    assert [serve(line), serve(line)] == [name for name in places if name != place_in_line]
    assert line.head() is None


def test_leaving_twice_or_after_service_says_no() -> None:
    line, one, other = Line(), place("1"), place("2")
    line.join(one)
    line.join(other)
    assert line.leave(one)
    assert not line.leave(one)
    line.serve(1.0)
    assert not line.leave(other)
    assert len(line) == 0


def test_whoever_leaves_is_not_charged() -> None:
    line = Line()
    gone = place("gone", tenant="a")
    for one in (gone, place("a1", tenant="a"), place("b1", tenant="b"), place("b2", tenant="b")):
        line.join(one)
    line.leave(gone)
    assert sorted([serve(line), serve(line)]) == ["a1", "b1"]


def test_a_class_above_goes_first() -> None:
    line = Line()
    for class_ in (Class.BULK, Class.STANDARD, Class.INTERACTIVE):
        line.join(place(class_.value, class_=class_))
    assert [serve(line) for _ in range(3)] == ["interactive", "standard", "bulk"]


@pytest.mark.parametrize("served_before", [0, 1, 7, 500])
def test_an_interactive_call_waits_at_most_one_service_behind_a_bulk_backlog(served_before: int) -> None:
    line = Line()
    for number in range(600):
        line.join(place(f"bulk{number}", class_=Class.BULK, tenant=f"t{number % 3}"))
    for _ in range(served_before):
        line.serve(30.0)
    line.join(place("now", class_=Class.INTERACTIVE))
    assert "now" in {serve(line), serve(line)}


def test_bulk_is_not_starved_by_calls_above_it() -> None:
    """Bulk gets one service in about a hundred beside interactive calls that never end, one in ten beside standard ones."""
    for class_, most in ((Class.INTERACTIVE, 110), (Class.STANDARD, 12)):
        line = Line()
        for number in range(200):
            line.join(place(f"bulk{number}", class_=Class.BULK))
        since = longest = 0
        for number in range(1000):
            line.join(place(f"{number}", class_=class_))
            since = 0 if serve(line).startswith("bulk") else since + 1
            longest = max(longest, since)
        assert longest <= most


def test_a_tenant_that_comes_back_does_not_catch_up() -> None:
    line = Line()
    line.join(place("a0", tenant="a"))
    serve(line)
    for number in range(50):
        line.join(place(f"b{number}", tenant="b"))
    for _ in range(30):
        serve(line)
    for number in range(20):
        line.join(place(f"a{number}", tenant="a"))
    served = [serve(line)[0] for _ in range(10)]
    assert served.count("b") >= 4


def test_a_tenant_that_comes_back_does_not_pay_for_having_been_alone() -> None:
    line = Line()
    for number in range(30):
        line.join(place(f"a{number}", tenant="a"))
        serve(line)
    for number in range(10):
        line.join(place(f"b{number}", tenant="b"))
        line.join(place(f"a{number}", tenant="a"))
    served = [serve(line)[0] for _ in range(10)]
    assert served.count("a") >= 4


def test_a_class_that_comes_back_does_not_pay_for_having_been_alone() -> None:
    line = Line()
    for number in range(200):
        line.join(place(f"i{number}", class_=Class.INTERACTIVE))
        serve(line, 100.0)
    for number in range(5):
        line.join(place(f"bulk{number}", class_=Class.BULK))
    line.join(place("i", class_=Class.INTERACTIVE))
    assert "i" in {serve(line), serve(line)}


# --- set aside ----------------------------------------------------------------------------------------------------


def test_others_pass_whoever_is_set_aside_and_it_comes_back_to_the_front() -> None:
    line, places = Line(), [place(name) for name in "1234"]
    for one in places:
        line.join(one)
    for one in places[:2]:
        line.set_aside(one, "p", 60.0)
    assert len(line) == 4
    assert serve(line) == "3"
    line.bring_back("p")
    assert [serve(line) for _ in range(3)] == ["1", "2", "4"]
    assert line.head() is None


def test_a_tenant_that_leaves_and_joins_again_is_not_served_twice_for_it() -> None:
    line = Line()
    line.join(place("a", tenant="a"))
    serve(line)
    line.join(place("rest", tenant="b"))
    for number in range(5):
        gone = place(f"gone{number}", tenant="a")
        line.join(gone)
        line.leave(gone)
    for number in range(10):
        line.join(place(f"a{number}", tenant="a"))
        line.join(place(f"b{number}", tenant="b"))
    served = [serve(line)[0] for _ in range(10)]
    assert served.count("a") <= 5


def test_where_all_are_set_aside_nobody_is_in_front_but_the_first_is_who_asks_again() -> None:
    line, one, other = Line(), place("1"), place("2")
    for each in (one, other):
        line.join(each)
        line.set_aside(each, "p", 60.0)
    assert line.front() is None
    assert line.head() is one
    assert line.next_due == 60.0
    line.bring_back_late(59.0)
    assert line.front() is None
    line.bring_back_late(60.0)
    assert line.front() is one
    assert line.next_due is None


def test_whoever_is_set_aside_can_leave_once() -> None:
    line, one = Line(), place("1")
    line.join(one)
    line.set_aside(one, "p", 60.0)
    assert line.leave(one)
    assert not line.leave(one)
    assert len(line) == 0
    line.bring_back("p")
    assert line.head() is None


def test_whoever_is_set_aside_may_still_be_overdue() -> None:
    line, one = Line(), Place(a_call("1"), 0.0, give_up_at=5.0)
    line.join(one)
    line.set_aside(one, "p", 60.0)
    assert line.next_due == 5.0
    assert line.overdue(6.0) == [one]


def test_a_tenant_neither_gains_nor_loses_by_being_set_aside() -> None:
    """Tenant a waits aside while b is served: afterwards they take turns, and a does not catch up."""
    line = Line()
    for number in range(20):
        line.join(place(f"a{number}", tenant="a"))
        line.join(place(f"b{number}", tenant="b"))
    for one in line.places():
        if one.call.tenant == "a":
            line.set_aside(one, "p", 60.0)
    assert [serve(line)[0] for _ in range(8)] == ["b"] * 8
    line.bring_back("p")
    served = [serve(line)[0] for _ in range(10)]
    assert served.count("a") == pytest.approx(5, abs=1)


def test_a_thousand_tenants_cost_a_step_little_more_than_ten() -> None:
    """Counted in comparisons of virtual times, not in seconds: each step of a heap of n compares about log n of them."""

    class Counted(float):
        count = 0

        def __lt__(self, other: float) -> bool:
            Counted.count += 1
            return float.__lt__(self, other)

        def __add__(self, other: float) -> Counted:
            return Counted(float.__add__(self, other))

    steps = {}
    for tenants in (10, 1000):
        line = Line()
        for number in range(2 * tenants):
            line.join(place(f"{number}", tenant=f"t{number % tenants}"))
        for rank in line._ranks.values():
            for tenant in rank.tenants.values():
                tenant.virtual = Counted(0.0)
            rank.queue = [(tenant.virtual, serial, tenant) for _, serial, tenant in rank.queue]
        Counted.count = 0
        for _ in range(tenants):
            serve(line)
        steps[tenants] = Counted.count / tenants
    assert steps[1000] < 10 * steps[10]


def test_tenants_who_come_and_go_behind_a_head_that_waits_leave_nothing_behind() -> None:
    line = Line()
    line.join(place("head", tenant="head"))
    for number in range(5000):
        one = place(str(number), tenant=f"t{number}")
        line.join(one)
        line.leave(one)
    (rank,) = (rank for rank in line._ranks.values() if rank.waiting)
    assert len(rank.queue) < 100
    assert serve(line) == "head"


# --- properties ---------------------------------------------------------------------------------------------------

TENANTS = "abc"
# What happens: a tenant's call of some cost arrives, or the head is served.
HAPPENINGS = st.lists(
    st.one_of(st.none(), st.tuples(st.sampled_from(TENANTS), st.integers(1, 20))), max_size=120
)


@given(HAPPENINGS)
def test_backlogged_tenants_of_equal_weight_get_equal_service_within_one_maximal_request(
    happenings: list[tuple[str, int] | None],
) -> None:
    """Whatever arrives when: while two tenants both wait, neither gets more than one maximal request ahead of the other.

    What the other was served last before they met counts for the other: it was taken out of the line before there was a
    choice.
    """
    line, most, serial = Line(), 20.0, 0
    costs: dict[str, float] = {}
    waiting: dict[str, int] = defaultdict(int)
    got: dict[str, float] = defaultdict(float)
    last: dict[str, float] = defaultdict(float)
    since: dict[tuple[str, str], tuple[float, float, float]] = {}
    for happening in [*happenings, *([None] * len(happenings))]:
        if happening is None:
            if not len(line):
                continue
            served = line.head()
            assert served is not None
            line.serve(costs[served.call.id])
            tenant = served.call.tenant
            waiting[tenant] -= 1
            got[tenant] += costs[served.call.id]
            last[tenant] = costs[served.call.id]
        else:
            tenant, cost = happening
            serial += 1
            costs[str(serial)] = float(cost)
            waiting[tenant] += 1
            line.join(place(str(serial), tenant=tenant))
        for one in TENANTS:
            for other in TENANTS:
                if not (waiting[one] and waiting[other]):
                    since.pop((one, other), None)
                    continue
                start = since.setdefault((one, other), (got[one], got[other], last[other]))
                ahead = (got[one] - start[0]) - (got[other] - start[1])
                assert ahead <= most + start[2]


@given(st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(1, 20)), min_size=1, max_size=80))
def test_tenants_that_all_wait_from_the_start_are_served_within_one_maximal_request(
    arrivals: list[tuple[str, int]],
) -> None:
    line = Line()
    costs = {str(number): float(cost) for number, (_, cost) in enumerate(arrivals)}
    waiting: dict[str, int] = defaultdict(int)
    got: dict[str, float] = defaultdict(float)
    for number, (tenant, _) in enumerate(arrivals):
        line.join(place(str(number), tenant=tenant))
        waiting[tenant] += 1
    while (head := line.head()) is not None:
        line.serve(costs[head.call.id])
        got[head.call.tenant] += costs[head.call.id]
        waiting[head.call.tenant] -= 1
        backlogged = [got[tenant] for tenant in waiting if waiting[tenant]]
        assert max(backlogged, default=0.0) - min(backlogged, default=0.0) <= max(costs.values())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["join", "join", "serve", "leave", "aside", "back"]),
            st.sampled_from(TENANTS),
            st.sampled_from(list(Class)),
            st.integers(0, 30),
        ),
        max_size=80,
    )
)
def test_everyone_who_joined_is_served_or_left_exactly_once_in_order_within_tenant_and_class(
    acts: list[tuple[str, str, Class, int]],
) -> None:
    line = Line()
    shadow: dict[tuple[str, Class], list[Place]] = defaultdict(list)
    aside: list[Place] = []
    for number, (act, tenant, class_, pick) in enumerate(acts):
        inside = [one for queue in shadow.values() for one in queue]
        if act == "join":
            one = place(str(number), tenant=tenant, class_=class_)
            line.join(one)
            shadow[tenant, class_].append(one)
        elif act == "leave" and inside:
            one = inside[pick % len(inside)]
            assert line.leave(one)
            shadow[one.call.tenant, one.call.class_].remove(one)
        elif act == "aside" and (one := line.front()) is not None:
            line.set_aside(one, "p", 60.0)
            aside.append(one)
            shadow[one.call.tenant, one.call.class_].remove(one)
        elif act == "back":
            line.bring_back("p")
            for one in reversed(aside):
                shadow[one.call.tenant, one.call.class_].insert(0, one)
            aside.clear()
        elif act == "leave" and aside:
            assert line.leave(aside.pop(pick % len(aside)))
        elif act == "serve" and inside:
            one = line.serve(float(pick))
            assert shadow[one.call.tenant, one.call.class_].pop(0) is one
        assert len(line) == sum(len(queue) for queue in shadow.values()) + len(aside)
        assert set(line.places()) == {one for queue in shadow.values() for one in queue} | set(aside)
        assert (line.front() is None) == (not any(shadow.values()))


def test_what_a_call_took_beyond_what_was_expected_is_charged_to_its_tenant() -> None:
    line = Line()
    for number in range(8):
        line.join(place(f"a{number}", tenant="a"))
        line.join(place(f"b{number}", tenant="b"))
    first = line.serve(1.0)
    line.correct(first.call, 3.0)
    assert [serve(line)[0] for _ in range(8)].count("b" if first.call.tenant == "a" else "a") >= 5


def test_what_a_call_did_not_take_comes_back_to_its_tenant() -> None:
    line = Line()
    for number in range(4):
        line.join(place(f"a{number}", tenant="a"))
        line.join(place(f"b{number}", tenant="b"))
    first = line.serve(5.0)
    line.correct(first.call, -5.0)
    assert first.call.tenant in (serve(line)[0], serve(line)[0])


def test_who_waits_no_more_pays_when_coming_back() -> None:
    line = Line()
    line.join(place("a1", tenant="a"))
    for number in range(4):
        line.join(place(f"b{number}", tenant="b"))
    served = [line.serve(1.0), line.serve(1.0)]
    (mine,) = [one for one in served if one.call.tenant == "a"]
    line.correct(mine.call, 1.5)
    line.join(place("a2", tenant="a"))
    assert [serve(line) for _ in range(4)].index("a2") == 2


def test_a_correction_for_a_tenant_who_is_forgotten_changes_nothing() -> None:
    line = Line()
    line.correct(a_call("gone", tenant="nobody"), 7.0)
    line.join(place("1", tenant="nobody"))
    assert serve(line) == "1"


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=300))
def test_whatever_was_expected_tenants_get_the_same_in_what_calls_took(
    costs: list[tuple[int, int]],
) -> None:
    """Two that always wait, one call at a time: no further apart than what one call is expected to take and takes."""
    line, got = Line(), {"a": 0, "b": 0}
    for serial, (expected, took) in enumerate(costs):
        for tenant in got:
            line.join(place(f"{tenant}{serial}", tenant=tenant))
        call = line.serve(float(expected)).call
        line.correct(call, float(took - expected))
        got[call.tenant] += took
        assert abs(got["a"] - got["b"]) <= 20


@given(st.lists(st.sampled_from(["join a", "join b", "serve", "correct"]), max_size=400))
def test_corrections_lose_nobody_and_the_heap_stays_small(steps: list[str]) -> None:
    line, joined, served = Line(), set[str](), list[Place]()
    for serial, step in enumerate(steps):
        if step.startswith("join"):
            joined.add(f"{serial}")
            line.join(place(f"{serial}", tenant=step[-1]))
        elif step == "serve" and len(line):
            served.append(line.serve(2.0))
        elif step == "correct" and served:
            line.correct(served[-1].call, 1.0 if serial % 2 else -1.5)
    while len(line):
        served.append(line.serve(1.0))
    assert len(served) == len({one.call.id for one in served})
    assert {one.call.id for one in served} == joined


def test_a_thousand_corrections_leave_a_small_heap() -> None:
    line = Line()
    for name in "ab":
        line.join(place(name, tenant=name))
    for _ in range(1000):
        line.correct(a_call("x", tenant="a"), 0.25)
    assert len(line._ranks[Class.STANDARD].queue) <= 2 * 2 + STALE_KEPT


@pytest.mark.parametrize(("weight", "before"), [(1.0, 3 + 3 + 2), (3.0, 3 + 1 + 1), (0.1, 3 + 5 + 2)])
def test_before_a_call_go_its_tenants_and_as_many_of_others_as_weights_allow(
    weight: float, before: float
) -> None:
    line = Line()
    for number in range(5):
        line.join(place(f"b{number}", tenant="b"))
    for number in range(2):
        line.join(place(f"c{number}", tenant="c"))
    line.join(place("i", tenant="d", class_=Class.INTERACTIVE))
    mine = [place(f"a{number}", tenant="a", weight=weight) for number in range(4)]
    for one in mine:
        line.join(one)
    assert line.before(mine[3]) == before
    assert line.before(mine[0]) == 0.0
