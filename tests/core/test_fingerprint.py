"""What is kept of a fingerprint is what was put in, and damage gives nothing rather than something wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.fingerprint import FIRST, LAST, PARTS, Cut, kept, pack, packed, unpack

CUTS = st.builds(
    Cut,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
    st.sampled_from(PARTS),
    st.booleans(),
)


@given(st.lists(CUTS, max_size=40))
def test_what_is_kept_is_what_was_found(cuts: list[Cut]) -> None:
    assert unpack(pack(cuts)) == cuts
    assert len(pack(cuts)) == 16 * len(cuts)


@given(st.binary(max_size=100))
def test_damaged_bytes_do_no_harm(damaged: bytes) -> None:
    found = unpack(damaged)
    assert len(found) == (0 if len(damaged) % 16 else len(damaged) // 16)
    assert all(cut.part in PARTS for cut in found)


def test_what_is_beyond_the_room_is_as_much_as_there_is_room_for() -> None:
    (cut,) = unpack(packed(b"12345678 and more", 2**40, 2**20, "system", True))
    assert cut == Cut(int.from_bytes(b"12345678", "little"), 2**32 - 1, 2**16 - 1, "system", True)


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 500])
def test_both_ends_are_kept(count: int) -> None:
    numbers = kept(count)
    assert len(numbers) == min(count, FIRST + LAST)
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= {*range(min(count, FIRST)), *range(max(0, count - LAST), count)}
