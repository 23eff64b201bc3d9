"""Counts of a text are what their definitions say, however they are come by."""

import re

from hypothesis import given
from hypothesis import strategies as st

from headway.providers.characters import count

MARK = rb"[!-/:-@\[-`{-~\x00-\x08\x0e-\x1b\x7f]"
DEFINITIONS = {
    "letters": rb"[A-Za-z]",
    "upper": rb"[A-Z]",
    "digits": rb"[0-9]",
    "lines": rb"\n",
    "pairs": rb"[\t\v\f\r\x1c-\x1f ]{2}",
    "camel": rb"[a-z](?=[A-Z])",
    "marks": MARK,
    "accents": rb"[\xc3-\xc5\xf0-\xff]",
    "beyond": rb"[\x80-\xff]",
    "words": rb"[A-Za-z]+",
    "numbers": rb"[0-9]+",
    "signs": MARK + rb"+",
}
LONG = st.tuples(st.binary(min_size=1, max_size=40), st.integers(100, 300)).map(
    lambda each: each[0] * each[1]
)
TEXTS = st.binary() | st.text("aZ0 \n.é中", max_size=40).map(str.encode)


@given(TEXTS)
def test_each_count_is_what_it_is_called(text: bytes) -> None:
    found = {name: len(re.findall(pattern, text)) for name, pattern in DEFINITIONS.items()}
    assert count(text)._asdict() == found


@given(LONG)
def test_a_long_text_counts_the_same_when_it_comes_again(text: bytes) -> None:
    found = {name: len(re.findall(pattern, text)) for name, pattern in DEFINITIONS.items()}
    assert count(text)._asdict() == found
    assert count(bytes(bytearray(text)))._asdict() == found


def test_a_long_text_is_sampled_within_two_percent() -> None:
    text = b"Calls wait in line: 12 of them, a[0] first.\n" * 20_000
    found, exact = count(text), count(text[: 44 * 1_000])
    assert abs(found.letters - 20 * exact.letters) <= 0.02 * found.letters
    assert abs(found.words - 20 * exact.words) <= 0.02 * found.words
