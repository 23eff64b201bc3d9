"""Every error headway raises, drawn as one tree; whose fault it was is in the type.

HeadwayError
├── InputError        yours: a setting, a job file, a request that can never fit
│   ├── ConfigError
│   ├── JobFileError
│   └── RequestTooLarge
├── LimitError        nobody's: a limit, a budget or a deadline said no; carries numbers and a way out
│   ├── WouldWaitTooLong
│   └── BudgetExceeded
├── ProviderError     theirs: the API answered with an error that trying again does not change
└── MachineError      the machine under us: disk, lock, socket
    ├── LedgerError
    ├── OutputError
    └── ConnectionFailed
"""

from __future__ import annotations

from typing import Any


class HeadwayError(Exception):
    """Root of the tree. `hint` says what to do next, in one sentence."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[HeadwayError], args: tuple[Any, ...], state: dict[str, Any]) -> HeadwayError:
    """An error from another process, with all it says."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InputError(HeadwayError):
    """Something the caller gave cannot work, and never will as it is."""

    exit_code = 2


class ConfigError(InputError):
    """A setting is missing, unknown or contradictory."""


class JobFileError(InputError):
    """A job file has lines that cannot be run."""


class RequestTooLarge(InputError):
    """A request that its model can never serve: `tokens` are `excess` more than `most`. `what` is what is too large."""

    def __init__(self, message: str, *, what: str, tokens: int, most: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.what = what
        self.tokens = tokens
        self.most = most
        self.excess = tokens - most


class LimitError(HeadwayError):
    """A limit said no."""

    exit_code = 3


class WouldWaitTooLong(LimitError):
    """A call would wait longer than it may.

    `limit` names the limit that binds, `level` is what it holds now (its own unit), `wait_s` is seconds until it clears.
    """

    def __init__(self, message: str, *, limit: str, level: float, wait_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.limit = limit
        self.level = level
        self.wait_s = wait_s


class BudgetExceeded(LimitError):
    """A budget you set is used up; `used` and `cap` are in `unit` ("usd", "tokens" or "requests"), `budget` is its name."""

    def __init__(
        self, message: str, *, used: float, cap: float, unit: str = "usd", budget: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.used = used
        self.cap = cap
        self.unit = unit
        self.budget = budget


class ProviderError(HeadwayError):
    """The API answered with an error that is final. `status` is the HTTP status (None: an error inside a stream)."""

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        status: int | None,
        error_type: str,
        request_id: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.error_type = error_type
        self.request_id = request_id


class MachineError(HeadwayError):
    """The machine under us failed: disk, lock, socket."""

    exit_code = 5


class LedgerError(MachineError):
    """The ledger cannot be read or written."""


class OutputError(MachineError):
    """The output file cannot be read or written."""


class ConnectionFailed(MachineError):
    """No reply, or only part of one: refused, reset, timed out, malformed.

    `sent` is whether any byte of the request had left, so that the caller knows whether it may have been billed.
    """

    def __init__(self, message: str, *, sent: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sent = sent
