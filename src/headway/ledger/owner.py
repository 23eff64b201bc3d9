"""Says which process an open attempt belongs to, and whether that process has ended.

A pid alone comes round again, so the boot of the machine, the pid namespace (containers) and the start of the process
belong to it. Linux tells all of them in /proc; elsewhere, and across containers, the age of the attempt decides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TOO_OLD_NS = (
    3600 * 10**9
)  # an hour: no attempt lasts longer; if one does, its late end still replaces the mark


@dataclass(frozen=True, slots=True)
class Owner:
    """`boot` is "boot id:pid namespace" ("" off Linux), `start` clock ticks from boot to the start of the process."""

    pid: int
    boot: str
    start: int


def this_process() -> Owner:
    """The process that runs this, as another process would look it up."""
    pid = os.getpid()
    return Owner(pid, _boot(), _start(pid) or 0)


def has_ended(owner: Owner, age_ns: int) -> bool:
    """Whether `owner` can no longer end an attempt of this age. In doubt: not before the attempt is an hour old."""
    here = _boot()
    if owner.boot == here != "":
        return _start(owner.pid) != owner.start
    if here and owner.boot and owner.boot.partition(":")[0] != here.partition(":")[0]:
        return True  # another boot: WAL files are shared by one running kernel only
    return age_ns > _TOO_OLD_NS


def _boot() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{(_PROC / 'self/ns/pid').readlink().name}"
    except OSError:
        return ""


def _start(pid: int) -> int | None:
    """None: there is no such process, or only its zombie."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return None if after_name[0] in (b"Z", b"X") else int(after_name[19])
    except (OSError, IndexError, ValueError):
        return None
