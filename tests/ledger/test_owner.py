"""Whether the process that opened an attempt has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from headway.ledger.owner import Owner, has_ended, this_process

HOUR_NS = 3600 * 10**9


def owner_of(pid: int) -> Owner:
    start = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return replace(this_process(), pid=pid, start=start)


def test_a_living_process_has_not_ended_however_old_its_attempt() -> None:
    assert not has_ended(this_process(), 1000 * HOUR_NS)


def test_a_killed_process_has_ended_even_before_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = owner_of(child.pid)
    assert not has_ended(owner, 0)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie still
    assert has_ended(owner, 0)
    child.communicate()
    assert has_ended(owner, 0)


def test_a_pid_that_came_round_again_is_another_process() -> None:
    assert has_ended(replace(this_process(), start=this_process().start - 1), 0)


def test_before_this_boot_nothing_lives() -> None:
    assert has_ended(replace(this_process(), boot="another-boot:pid:[1]"), 0)


def test_in_another_container_only_age_tells() -> None:
    elsewhere = replace(
        this_process(), pid=999_999_999, boot=this_process().boot.partition(":")[0] + ":pid:[1]"
    )
    assert not has_ended(elsewhere, HOUR_NS)
    assert has_ended(elsewhere, HOUR_NS + 1)


def test_without_proc_only_age_tells() -> None:
    assert not has_ended(Owner(os.getpid(), "", 0), HOUR_NS)
    assert has_ended(Owner(os.getpid(), "", 0), HOUR_NS + 1)
