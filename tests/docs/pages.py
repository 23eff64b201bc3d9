"""Reads the pages of the documentation: their blocks, the marks above them, their headings and links.

A block may have marks on the line above it:

    <!-- not run: why -->        it is not run; the reason is for the reader of the source
    <!-- file: name -->          it is written to this file, for the blocks after it
    <!-- exit: 3 -->             it ends with this exit code
    <!-- about: 30 -->           where it shows 30, any number will do: it depends on the machine
    <!-- emulator: profile -->   from here on ANTHROPIC_BASE_URL is a new emulator's, and ANTHROPIC_API_KEY any key
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ("bash", "console", "python", "sql")  # blocks of these languages are run, or say why not

_MARK = re.compile(r"<!-- (not run|file|exit|emulator|about): (.+?) -->")
_FENCE = re.compile(r"```(\w*)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `line` is that of its fence, from 1."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def all_pages() -> list[Path]:
    """README, CONTRIBUTING, CHANGELOG and everything under docs/."""
    return [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")] + sorted(
        (ROOT / "docs").rglob("*.md")
    )


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = page.read_text("utf-8").splitlines()
    marks: dict[str, str] = {}
    inside: tuple[int, str] | None = None
    for number, line in enumerate(lines, 1):
        fence = _FENCE.fullmatch(line.strip())
        if inside is not None:
            if line.strip() == "```":
                start, language = inside
                found.append(Block(page, start, language, "\n".join(lines[start : number - 1]) + "\n", marks))
                inside, marks = None, {}
        elif fence is not None:
            inside = (number, fence[1])
        elif mark := _MARK.fullmatch(line.strip()):
            marks = {**marks, mark[1]: mark[2]}
        elif line.strip():
            marks = {}
    assert inside is None, f"{page}: a block is not closed"
    return found


def prose(page: Path) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """Targets of the links of a page."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """What can be linked to within a page, as GitHub names headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE):
        bare = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(bare.strip().replace(" ", "-"))
    return found
