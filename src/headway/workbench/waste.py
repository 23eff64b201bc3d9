"""Rules about tokens of one prompt that do nothing, HW301 to HW305. Savings are by the same fit that paces calls."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator

from headway.workbench.finding import Finding, Severity
from headway.workbench.prompts import Piece, Prompt

Tokens = Callable[[str], int]  # of a text, by estimate

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{240,}={0,2}")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>|<!--.*?-->|<(script|style)\b.*?</\1>", re.DOTALL)
_DRESS = re.compile(
    r"<(?:script|style|div|span|link|meta|svg|iframe|nav)\b|\b(?:class|style|onclick|data-[\w-]+)=[\"']",
    re.IGNORECASE,
)
_ABOUT_HTML = re.compile(
    r"\b(?:html|css|markup|dom|selectors?|xpath|web ?pages?|javascript|jsx|components?|accessibility)\b",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"[ \t]+(?=\n)|\n{4,}|[ \t\n]{8,}\Z")
_RESULTS = ("system", "user", "tool")
_AT_ONCE, _NEAR = 200_000, 20_000  # characters; what is cut off shows as an error near the end
_MUCH = 200
_LEAST = 40  # tokens that must be saved before it is worth a word
_LEAST_JSON, _LEAST_SHARE = 60, 0.15
_LEAST_HTML, _HTML_SHARE = 150, 0.25
_PARAGRAPH = 160  # characters from which on a paragraph is one


def repeated(prompt: Prompt, tokens: Tokens) -> Iterator[Finding]:
    """HW301: the same paragraph more than once in one request."""
    seen: dict[str, Piece] = {}
    again: Counter[str] = Counter()
    second: dict[str, tuple[Piece, int]] = {}
    for piece in _read(prompt):
        for match in re.finditer(r"[^\n].*?(?=\n\s*\n|\Z)", piece.text, re.DOTALL):
            paragraph = match[0].strip()
            if len(paragraph) < _PARAGRAPH:
                continue
            if paragraph in seen:
                again[paragraph] += 1
                second.setdefault(paragraph, (piece, match.start()))
            seen.setdefault(paragraph, piece)
    if not again:
        return
    saves = sum(tokens(paragraph) * count for paragraph, count in again.items())
    if saves >= _LEAST:
        piece, offset = second[max(again, key=lambda each: len(each) * again[each])]
        many = f"{again.total()} paragraphs stand" if again.total() > 1 else "A paragraph stands"
        reason = f"{many} in the request before, word for word."
        severity = Severity.WARNING if saves >= _MUCH else Severity.INFO
        yield Finding("HW301", severity, piece.at(offset), reason, "Say it once, and refer to it.", saves)


def indented_json(prompt: Prompt, tokens: Tokens) -> Iterator[Finding]:
    """HW302: JSON with line ends and indentation, which mean nothing and cost tokens."""
    for piece in _read(prompt):
        saves, first = 0, -1
        for start, text, value in _json_blocks(piece.text):
            compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            gain = tokens(text) - tokens(compact)
            if gain >= _LEAST_JSON and gain >= _LEAST_SHARE * tokens(text):
                saves, first = saves + gain, start if first < 0 else first
        if saves:
            better = 'json.dumps(value, separators=(",", ":"), ensure_ascii=False)'
            reason = "JSON is indented: its blanks mean nothing to the model."
            yield Finding("HW302", Severity.INFO, piece.at(first), reason, better, saves)


def _json_blocks(text: str) -> Iterator[tuple[int, str, object]]:
    decoder, place = json.JSONDecoder(), 0
    for match in re.finditer(r"[\[{]\s*\n", text):
        start = match.start()
        if start < place:
            continue
        piece = text[start : start + _AT_ONCE]  # an error counts lines from the start of what it is given
        try:
            try:
                value, size = decoder.raw_decode(piece)
            except json.JSONDecodeError as error:
                if error.pos < len(piece) - _NEAR or len(piece) < _AT_ONCE:
                    continue
                value, size = decoder.raw_decode(text[start:])
        except (ValueError, RecursionError):
            continue
        place = start + size
        yield start, text[start:place], value


def base64_text(prompt: Prompt, tokens: Tokens) -> Iterator[Finding]:
    """HW303: a file as base64 within text. The model can hardly read it, and it takes far more tokens than the file."""
    for piece in _read(prompt):
        for match in _BASE64.finditer(piece.text):
            blob = match[0]
            kinds = sum(any(test(char) for char in blob) for test in (str.isupper, str.islower, str.isdigit))
            if kinds == 3 and len(set(blob)) >= 24 and not re.fullmatch(r"[0-9a-fA-F]+", blob):
                better = "Send it as an image or document block, or leave it out."
                reason = f"{len(blob):,} characters of base64 stand in the text."
                yield Finding(
                    "HW303", Severity.WARNING, piece.at(match.start()), reason, better, tokens(blob)
                )


def html(prompt: Prompt, tokens: Tokens) -> Iterator[Finding]:
    """HW304: a web page with its dress on: scripts, styles, classes."""
    for piece in _read(prompt):
        if len(_DRESS.findall(piece.text)) < 3 or any(
            _ABOUT_HTML.search(_TAG.sub(" ", each.text)) for each in prompt.instructions
        ):
            continue
        bare = re.sub(r"[ \t]*\n\s*", "\n", _TAG.sub(" ", piece.text))
        whole = tokens(piece.text)
        saves = whole - tokens(bare)
        if saves >= _LEAST_HTML and saves >= _HTML_SHARE * whole:
            start = _TAG.search(piece.text)
            reason = f"{saves / whole:.0%} of this text is HTML markup."
            better = "Give the text of the page, or Markdown made of it."
            yield Finding(
                "HW304", Severity.WARNING, piece.at(start.start() if start else 0), reason, better, saves
            )


def blanks(prompt: Prompt, tokens: Tokens) -> Iterator[Finding]:
    """HW305: blanks at the ends of lines, and runs of empty lines."""
    for piece in _read(prompt):
        first = _TRAILING.search(piece.text)
        if first is None:
            continue
        saves = tokens(piece.text) - tokens(
            _TRAILING.sub(lambda match: "\n\n" if match[0][0] == "\n" else "", piece.text)
        )
        if saves >= _LEAST:
            better = "Strip the ends of lines, and keep one empty line between paragraphs."
            reason = "Blanks at the ends of lines, or runs of empty lines, do nothing."
            yield Finding("HW305", Severity.INFO, piece.at(first.start()), reason, better, saves)


def _read(prompt: Prompt) -> list[Piece]:
    return [piece for piece in prompt.pieces if piece.role in _RESULTS]
