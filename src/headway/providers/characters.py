"""What a text is made of, counted at the speed of C: the input of the fit in `sizing`."""

from __future__ import annotations

from operator import add
from typing import NamedTuple

_WHOLE = 131_072  # bytes counted one by one; of longer texts as much is taken in even slices
_SLICES = 32
_LONG = 4_096  # bytes from which on it pays to remember
_MOST_KNOWN = 1_024


class Characters(NamedTuple):
    """Counts of one text. A named tuple, because it is built for every request.

    `upper` are among `letters`; `pairs` are two spaces side by side (indentation); `camel` is where a word goes from
    lower to upper case; `words`, `numbers` and `signs` are runs of letters, digits and punctuation; `accents` are
    letters of Latin scripts beyond ASCII, and emoji; `beyond` are all bytes of UTF-8 beyond ASCII.
    """

    letters: float
    upper: float
    digits: float
    lines: float
    pairs: float
    camel: float
    marks: float
    accents: float
    beyond: float
    words: float
    numbers: float
    signs: float


def joined(one: Characters, other: Characters) -> Characters:
    """The counts of two texts with a line end between them. Exact, for no run goes across that."""
    lines = one.lines + other.lines + 1
    return Characters._make(map(add, one, other))._replace(lines=lines)


def count(text: bytes) -> Characters:
    """Count a text given as UTF-8. Beyond 128 KiB it is sampled: within about 2 %, at a bounded cost.

    Long texts come again, call after call: tools, system prompts, documents. Of those the counts are kept, not the text;
    looking them up costs a twentieth of counting.
    """
    if len(text) < _LONG:
        return _count(text)
    name = len(text), hash(text), False
    return _KNOWN.get(name) or _remembered(name, text)


def count_text(text: str) -> Characters:
    """The same of a text that is not yet UTF-8; a long one that is known need not become it."""
    if len(text) < _LONG:
        return _count(text.encode("utf-8", "surrogatepass"))
    name = len(text), hash(text), True
    return _KNOWN.get(name) or _remembered(name, text.encode("utf-8", "surrogatepass"))


def _remembered(name: tuple[int, int, bool], text: bytes) -> Characters:
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    known = _KNOWN[name] = _count(text) if len(text) <= _WHOLE else _sampled(text)
    return known


def _sampled(text: bytes) -> Characters:
    step, taken = len(text) / _SLICES, _WHOLE // _SLICES
    sample = b"".join(text[at : at + taken] for at in (int(number * step) for number in range(_SLICES)))
    scale = len(text) / len(sample)
    return Characters._make(value * scale for value in _count(sample))


def _count(text: bytes) -> Characters:
    """Single kinds are counted as bytes; what depends on the byte before is counted on all bytes at once, as one number."""
    kinds = text.translate(_KINDS)
    upper, digits = kinds.count(_UPPER), kinds.count(_DIGIT)
    spaces, lines, marks = kinds.count(_SPACE), kinds.count(_LINE), kinds.count(_MARK)
    accents, beyond = 0, 0
    if not text.isascii():
        accents = kinds.count(_ACCENT)
        beyond = accents + kinds.count(_BEYOND)
    letters = len(text) - digits - spaces - lines - marks - beyond
    number = int.from_bytes(kinds, "little")
    again = number & number << 8  # the bits that a byte shares with the one before it
    return Characters(  # by position, as it is built for every request
        letters,
        upper,
        digits,
        lines,
        kinds.count(_SPACE + _SPACE) if again & _IS_SPACE else 0,
        (number << 7 & number & _IS_UPPER).bit_count() if upper else 0,
        marks,
        accents,
        beyond,
        letters - (again & _IS_LETTER).bit_count(),
        digits - (again & _IS_DIGIT).bit_count() if digits else 0,
        marks - (again & _IS_MARK).bit_count() if marks else 0,
    )


def _kind(byte: int) -> bytes:
    """The kind of a byte: one bit for what is counted in runs, and so that no two kinds are alike."""
    char = chr(byte)
    if byte > 127:
        return _ACCENT if byte in (0xC3, 0xC4, 0xC5) or byte >= 0xF0 else _BEYOND
    if char.isalpha():
        return _LOWER if char.islower() else _UPPER
    if char.isdigit():
        return _DIGIT
    return _LINE if char == "\n" else _SPACE if char.isspace() else _MARK


def _everywhere(bits: int) -> int:
    """A number that has these bits in every byte."""
    return int.from_bytes(bytes([bits]) * _WHOLE, "little")


_LOWER, _UPPER, _DIGIT, _MARK, _SPACE = b"\x81", b"\x41", b"\x02", b"\x04", b"\x08"
_LINE, _ACCENT, _BEYOND = b"\x10", b"\x20", b"\x00"
_KINDS = b"".join(map(_kind, range(256)))
_IS_LETTER, _IS_DIGIT, _IS_MARK, _IS_SPACE = map(_everywhere, (0x01, 0x02, 0x04, 0x08))
_IS_UPPER = _everywhere(0x40)  # and bit 7 is that of the lower case
# By length and hash, which is keyed anew in every process, and whether it was a string.
_KNOWN: dict[tuple[int, int, bool], Characters] = {}
