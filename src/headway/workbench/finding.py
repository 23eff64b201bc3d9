"""What lint says: where, by which rule, why, and how it would be better."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is. ERROR: the API refuses it. WARNING: it costs money or quality, as a rule. INFO: worth a look."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """For comparing: a higher one is worse."""
        return tuple(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: a line of a file (0: the file as a whole), a JSON path in it, and row and column of the text there.

    Rows and columns count from 1; of a text file, the row is the line of the file and `path` is empty.
    """

    file: str
    line: int = 0
    path: str = ""
    row: int = 0
    column: int = 0

    def __str__(self) -> str:
        spot = f"{self.row}:{self.column}" if self.row else ""
        if not self.path:
            return ":".join(filter(None, (self.file, spot or (str(self.line) if self.line else ""))))
        return " ".join(
            filter(None, (f"{self.file}:{self.line}" if self.line else self.file, self.path, spot))
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """`saves` is tokens a request, by estimate (0: it is not about waste). `better` is what to write instead."""

    rule: str
    severity: Severity
    place: Place
    reason: str
    better: str = ""
    saves: int = 0
