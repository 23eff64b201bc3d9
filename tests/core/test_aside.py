"""Rules of places set aside: each comes back once, in order, when it has happened or its time has passed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.core.aside import Aside


def test_they_come_back_in_the_order_they_came() -> None:
    aside: Aside[int] = Aside()
    for place in (3, 1, 2):
        aside.put(place, "p", 60.0)
    assert list(aside) == [3, 1, 2]
    assert aside.take("p") == [3, 1, 2]
    assert len(aside) == 0
    assert aside.next_due is None


def test_one_group_says_nothing_about_another() -> None:
    aside: Aside[int] = Aside()
    aside.put(1, "p", 60.0)
    aside.put(2, "q", 30.0)
    assert aside.take("p") == [1]
    assert list(aside) == [2]
    assert aside.next_due == 30.0


def test_what_nobody_waits_for_any_more_is_not_due() -> None:
    aside: Aside[int] = Aside()
    aside.put(1, "p", 60.0)
    aside.put(2, "p", 60.0)
    aside.remove(1, "p")
    assert aside.due(59.0) == []
    assert aside.due(60.0) == ["p"]
    aside.remove(2, "p")
    assert aside.next_due is None
    assert aside.take("p") == []


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "remove", "take", "pass"]), st.sampled_from("pqr"), st.integers(0, 9)
    ),
    max_size=80,
)


@given(ACTS)
def test_everyone_is_in_one_group_until_removed_or_taken_and_none_is_forgotten(
    acts: list[tuple[str, str, int]],
) -> None:
    aside: Aside[int] = Aside()
    groups: dict[str, list[int]] = {name: [] for name in "pqr"}
    now = 0.0
    for number, (act, what, pick) in enumerate(acts):
        match act:
            case "put":
                aside.put(number, what, now + 5.0)
                groups[what].append(number)
            case "remove" if groups[what]:
                aside.remove(gone := groups[what].pop(pick % len(groups[what])), what)
                assert gone not in list(aside)
            case "take":
                assert aside.take(what) == groups[what]
                groups[what] = []
            case "pass":
                now += pick
                for late in aside.due(now):
                    assert aside.take(late) == groups[late]
                    groups[late] = []
        assert sorted(aside) == sorted(number for group in groups.values() for number in group)
        assert len(aside) == sum(map(len, groups.values()))
        due = aside.next_due
        assert (due is None) == (len(aside) == 0)
        assert due is None or due <= now + 5.0
