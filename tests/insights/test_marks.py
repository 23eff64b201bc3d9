"""A fingerprint read in place says what it says unpacked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.core.fingerprint import PARTS, Cut, pack, unpack
from headway.insights import marks


@st.composite
def fingerprints(draw: st.DrawFn) -> bytes:
    parts = sorted(draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=32)), key=PARTS.index)
    sizes = sorted(draw(st.lists(st.integers(0, 2**32 - 1), min_size=len(parts), max_size=len(parts))))
    names = st.integers(0, 2**64 - 1)
    return pack(
        Cut(draw(names), size, at, part, draw(st.booleans()))
        for at, (part, size) in enumerate(zip(parts, sizes, strict=True))
    )


@given(fingerprints())
def test_counts_names_and_sizes_are_those_of_the_cuts(mark: bytes) -> None:
    cuts = unpack(mark)
    assert marks.count(mark) == len(cuts)
    assert marks.fixed(mark) == sum(cut.part != "messages" for cut in cuts)
    for at, cut in enumerate(cuts):
        assert marks.size(mark, at) == cut.size
        assert int.from_bytes(marks.name(mark, at), "little") == cut.name
        found = marks.place_of(mark, marks.name(mark, at))
        assert found is not None
        assert cuts[found].name == cut.name


@given(fingerprints(), st.integers(0, 2**64 - 1))
def test_a_name_that_is_not_there_is_not_found(mark: bytes, name: int) -> None:
    found = marks.place_of(mark, name.to_bytes(8, "little"))
    assert (found is not None) == any(cut.name == name for cut in unpack(mark))


def test_a_name_across_two_cuts_is_not_found() -> None:
    mark = pack([Cut(1, 2, 3, "tools", False), Cut(4, 5, 6, "system", True)])
    assert marks.place_of(mark, mark[4:12]) is None


def test_what_is_no_fingerprint_has_no_cuts() -> None:
    assert marks.count(b"123") == 0
