"""Every error headway raises, drawn as one tree; whose fault it was is in the type.

HeadwayError
├── InputError        yours: a setting, a job file, a request that can never fit
│   ├── ConfigError
│   └── JobFileError
├── LimitError        nobody's: a limit, a budget or a deadline said no; carries numbers and a way out
│   ├── WouldWaitTooLong
│   └── BudgetExceeded
└── MachineError      the machine under us: disk, lock, socket
    ├── LedgerError
    ├── OutputError
    └── ConnectionFailed
"""


class HeadwayError(Exception):
    """Root of the tree. `hint` says what to do next, in one sentence."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InputError(HeadwayError):
    """Something the caller gave cannot work, and never will as it is."""

    exit_code = 2


class ConfigError(InputError):
    """A setting is missing, unknown or contradictory."""


class JobFileError(InputError):
    """A job file has lines that cannot be run."""


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
    """A budget you set is used up; `used` and `cap` are in the budget's unit."""

    def __init__(self, message: str, *, used: float, cap: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.used = used
        self.cap = cap


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
