"""The ledger on a file: what was handed over is there, once, whatever happens to the process, the disk or the clock."""

from __future__ import annotations

import random
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headway.core.call import Usage
from headway.core.ports import Entry, Ledger, OpenEntry
from headway.errors import LedgerError
from headway.ledger.file import open_file
from headway.ledger.price import Prices
from headway.ledger.sqlite import NoLedger, SqliteLedger, default_path

Open = Callable[..., OpenEntry]
End = Callable[..., Entry]


@pytest.fixture
def ledger(path: Path, prices: Prices) -> Iterator[SqliteLedger]:
    with SqliteLedger(path, prices=prices) as made:
        yield made


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_both_keep_the_contract(ledger: SqliteLedger) -> None:
    contract: tuple[Ledger, Ledger] = (ledger, NoLedger())
    assert len(contract) == 2


def test_an_attempt_that_ends_is_one_settled_row(
    ledger: SqliteLedger, path: Path, opened: Open, ended: End
) -> None:
    ledger.open(opened())
    ledger.close(ended())
    ledger.flush()
    assert ask(path, "SELECT attempt_id, outcome, cost_nanousd, estimated, tenant, class FROM attempts") == [
        ("a1", "ok", 30_000_000, 0, "alice", "bulk")
    ]
    assert ask(path, "SELECT count(*) FROM open_attempts") == [(0,)]


def test_an_attempt_under_way_is_on_file_before_its_end(
    ledger: SqliteLedger, path: Path, opened: Open, ended: End
) -> None:
    ledger.open(opened())
    ledger.flush()
    assert ask(path, "SELECT attempt_id, model, estimated_output_tokens FROM open_attempts") == [
        ("a1", "claude-opus-4", 300)
    ]
    ledger.close(ended())
    ledger.flush()
    assert ask(path, "SELECT count(*) FROM open_attempts") == [(0,)]
    assert ask(path, "SELECT label, queued_ms FROM attempts") == [("line 1", 12.5)]
    assert ledger._under_way == {}


def test_a_second_close_changes_nothing(ledger: SqliteLedger, path: Path, opened: Open, ended: End) -> None:
    ledger.open(opened())
    ledger.close(ended())
    ledger.close(ended(outcome="failed"))
    ledger.flush()
    ledger.close(ended(outcome="cancelled"))
    ledger.flush()
    assert ask(path, "SELECT outcome, label FROM attempts") == [("ok", "line 1")]
    assert ledger.problem is None


def test_an_end_without_a_beginning_still_counts(ledger: SqliteLedger, path: Path, ended: End) -> None:
    ledger.close(ended("stray"))
    ledger.flush()
    assert ask(path, "SELECT attempt_id, model_served, cost_nanousd FROM attempts") == [
        ("stray", "claude-opus-4-20250514", 30_000_000)
    ]


def test_a_late_end_replaces_being_lost(path: Path, prices: Prices, opened: Open, ended: End) -> None:
    with SqliteLedger(path, prices=prices) as first:
        first.open(opened())
        first.flush()
        with closing(open_file(path)) as db:
            db.execute(
                "UPDATE open_attempts SET owner_start = owner_start - 1"
            )  # as if this process had died
        with SqliteLedger(path, prices=prices):
            assert ask(path, "SELECT outcome, estimated FROM attempts") == [("lost", 1)]
        first.close(ended())
        first.flush()
    assert ask(path, "SELECT outcome, estimated, cost_nanousd FROM attempts") == [("ok", 0, 30_000_000)]


def test_a_clock_that_goes_back_loses_nothing(
    ledger: SqliteLedger, path: Path, opened: Open, ended: End
) -> None:
    for number, at_ns in enumerate((10**18, 5, 2 * 10**18, -7, 0)):
        ledger.open(opened(f"a{number}", at_ns=at_ns))
        ledger.close(ended(f"a{number}"))
    ledger.flush()
    assert ask(path, "SELECT count(*) FROM attempts") == [(5,)]


def test_odd_entries_do_not_hold_up_the_others(
    ledger: SqliteLedger, path: Path, opened: Open, ended: End
) -> None:
    ledger.open(opened("good"))
    ledger.open(opened("no number", number=None))
    ledger.close(ended("no usage", usage=None))
    ledger.close(
        Entry("huge", "ok", 200, "", None, Usage(output_tokens=10**40, model="m\0\ud800"), False, None, 1.0)
    )
    ledger.close(ended("good"))
    ledger.flush()
    assert sorted(ask(path, "SELECT attempt_id FROM attempts")) == [("good",), ("huge",)]
    assert ledger.dropped == 2


def test_what_is_learnt_is_kept_from_run_to_run(path: Path, prices: Prices) -> None:
    with SqliteLedger(path, prices=prices) as ledger:
        assert ledger.recall("org/opus") is None
        ledger.remember("org/opus", {"burst": 1.5})
        assert ledger.recall("org/opus") == {"burst": 1.5}
        ledger.remember("org/opus", {"burst": 2.5, "since": [1, 2]})
    with SqliteLedger(path, prices=prices) as ledger:
        assert ledger.recall("org/opus") == {"burst": 2.5, "since": [1, 2]}
        with SqliteLedger(path, prices=prices) as other:
            other.remember("org/opus", {"burst": 9})
        assert ledger.recall("org/opus") == {"burst": 9}


def test_a_locked_file_costs_the_caller_nothing(
    ledger: SqliteLedger, path: Path, opened: Open, ended: End
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        for number in range(500):
            ledger.open(opened(f"a{number}"))
            ledger.close(ended(f"a{number}"))
        took = time.perf_counter() - began
        with pytest.raises(LedgerError, match="not on file"):
            ledger.flush(timeout_s=1.5)
        assert ledger.problem is not None
        assert "locked" in ledger.problem
        other.execute("ROLLBACK")
    ledger.flush()
    assert took < 5.0  # whoever waited for the lock would have waited a second for each of ten batches
    assert ask(path, "SELECT count(*) FROM attempts") == [(500,)]
    assert ledger.problem is None


def test_a_file_that_is_deleted_under_it_is_made_anew(
    ledger: SqliteLedger, path: Path, opened: Open, ended: End
) -> None:
    ledger.open(opened("before"))
    ledger.flush()
    for file in path.parent.iterdir():
        file.unlink()
    ledger.close(ended("before"))
    ledger.flush()
    assert ask(path, "SELECT attempt_id, label FROM attempts") == [("before", "line 1")]


def test_a_file_that_cannot_be_used_is_said_at_once(path: Path, prices: Prices) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no ledger" * 1000)
    with pytest.raises(LedgerError, match="not a database") as caught:
        SqliteLedger(path, prices=prices)
    assert "--ledger" in caught.value.hint


def test_the_path_comes_from_the_environment_or_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("HEADWAY_LEDGER", raising=False)
    assert default_path().name == "ledger.sqlite3"
    assert default_path().parent.name == "headway"
    monkeypatch.setenv("HEADWAY_LEDGER", str(tmp_path / "mine.db"))
    assert default_path() == tmp_path / "mine.db"


def test_no_key_reaches_the_disk(ledger: SqliteLedger, path: Path, opened: Open, ended: End) -> None:
    key = "sk-ant-api03-" + "Zq9" * 20
    ledger.open(opened(session=key, label=key, tenant=key))
    ledger.flush()
    ledger.close(ended(error_type=key, request_id=key, usage=Usage(output_tokens=1, raw={"note": key})))
    ledger.flush()
    assert all(b"Zq9Zq9" not in file.read_bytes() for file in path.parent.iterdir())


def test_threads_share_one_ledger(ledger: SqliteLedger, path: Path, opened: Open, ended: End) -> None:
    def work(name: int) -> None:
        for number in range(200):
            ledger.open(opened(f"{name}-{number}"))
            ledger.close(ended(f"{name}-{number}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.flush()
    assert ask(path, "SELECT count(*), count(DISTINCT attempt_id) FROM attempts") == [(800, 800)]


# Whole processes ----------------------------------------------------------------------------------------------------

CHILD = """
import os, resource, sys, time
from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.sqlite import SqliteLedger

def opened(name):
    return OpenEntry(name, name, 1, time.time_ns(), "anthropic", "p", "claude-opus-4", "t", Class.BULK, "", "", "l" * 40,
                     10, 20, 0.0, False)

def ended(name):
    return Entry(name, "ok", 200, "", None, Usage(input_tokens=10, output_tokens=2, model="claude-opus-4"), False, 1.0, 2.0)

ledger = SqliteLedger(sys.argv[1])
"""


def run(script: str, path: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # Python 3.12 warns of any fork beside threads; that ours is safe is what a test here shows.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", CHILD + script, str(path), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(child: subprocess.Popen[str]) -> str:
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert err == ""
    return out


def test_a_process_that_ends_without_a_word_has_written_everything(path: Path) -> None:
    said(run("for n in range(300): ledger.open(opened(f'a{n}')); ledger.close(ended(f'a{n}'))", path))
    assert ask(path, "SELECT count(*) FROM attempts") == [(300,)]
    assert not path.with_name("ledger.sqlite3-wal").exists()


def test_processes_share_one_file(path: Path) -> None:
    script = """
sys.stdin.readline()
for n in range(1000):
    ledger.open(opened(f'{sys.argv[2]}-{n}'))
    if n % 3 == 0:
        ledger.flush()
    ledger.close(ended(f'{sys.argv[2]}-{n}'))
ledger.flush(30)
print(ledger.problem, ledger.dropped)
"""
    children = [run(script, path, str(name)) for name in range(3)]
    assert [child.communicate("go\n", timeout=60)[0] for child in children] == ["None 0\n"] * 3
    assert ask(path, "SELECT count(*), count(DISTINCT attempt_id) FROM attempts") == [(3000, 3000)]
    assert ask(path, "SELECT count(*) FROM open_attempts") == [(0,)]


def test_a_full_disk_raises_nothing_and_all_is_written_when_there_is_room_again(path: Path) -> None:
    script = """
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
for n in range(5000):
    ledger.open(opened(f'a{n}')); ledger.close(ended(f'a{n}'))
try:
    ledger.flush(1.0)
except Exception as error:
    print(type(error).__name__)
print(ledger.problem)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ledger.flush(30)
print(ledger.problem, ledger.dropped)
"""
    child = run(script, path)
    out, err = child.communicate(timeout=60)
    error, problem, after = out.splitlines()
    assert error == "LedgerError"
    assert "cannot be written" in problem
    assert "wait in memory, 0 were dropped" in problem
    assert after == "None 0"
    assert "entries are kept in memory" in err
    assert ask(path, "SELECT count(*) FROM attempts") == [(5000,)]
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_forked_child_goes_on_by_itself(path: Path) -> None:
    script = """
ledger.open(opened('shared')); ledger.open(opened('mine')); ledger.close(ended('mine'))
child = os.fork()
for n in range(200):
    ledger.open(opened(f'{child == 0}-{n}')); ledger.close(ended(f'{child == 0}-{n}'))
if child == 0:
    ledger.close(ended('shared'))
    ledger.flush(30); ledger.stop()
    os._exit(0 if ledger.problem is None else 9)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
ledger.flush(30)
print(code, ledger.problem)
"""
    assert said(run(script, path)) == "0 None\n"
    assert ask(path, "SELECT count(*), count(DISTINCT attempt_id) FROM attempts") == [(402, 402)]
    assert ask(path, "SELECT count(*) FROM attempts WHERE label = ''") == [(0,)]
    assert ask(path, "SELECT count(*) FROM open_attempts") == [(0,)]
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("pace_s", [0.0005, 0.005])  # batches full within 10 ms, and not
@pytest.mark.parametrize("seed", range(4))
def test_kill_9_loses_nothing_that_is_50_ms_old_and_the_rest_is_marked_lost(
    path: Path, seed: int, pace_s: float
) -> None:
    """Lock-step with the child, so that both know what was handed over when; killed at a random moment.

    A machine that stands still is not the ledger's fault: the longest pause between two steps is added to the 50 ms.
    """
    script = """
print('ready', flush=True)
n = 0
while sys.stdin.readline():
    ledger.open(opened(f'short-{n}')); ledger.close(ended(f'short-{n}')); ledger.open(opened(f'long-{n}'))
    if n >= 50:
        ledger.close(ended(f'long-{n - 50}'))
    print(n, flush=True); n += 1
"""
    lives_s = random.Random(seed).uniform(0.15, 0.6)
    child = run(script, path)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    at = [time.monotonic()]
    while at[-1] < at[0] + lives_s:
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        at.append(time.monotonic())
        select.select([], [], [], pace_s)
    child.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    child.communicate()

    pauses = max(after - before for before, after in zip(at, [*at[1:], killed], strict=True))
    due = sum(moment <= killed - 0.050 - pauses for moment in at[1:])
    settled = {name for (name,) in ask(path, "SELECT attempt_id FROM attempts")}
    under_way = {name for (name,) in ask(path, "SELECT attempt_id FROM open_attempts")}
    assert {f"short-{n}" for n in range(due)} <= settled
    assert {f"long-{n}" for n in range(due - 50)} <= settled
    assert {f"long-{n}" for n in range(due)} <= settled | under_way
    assert not settled & under_way

    with SqliteLedger(path):
        pass
    assert {
        name for (name,) in ask(path, "SELECT attempt_id FROM attempts WHERE outcome = 'lost'")
    } == under_way
    assert ask(
        path, "SELECT count(*) FROM attempts WHERE outcome = 'lost' AND NOT (estimated AND cost_nanousd > 0)"
    ) == [(0,)]
    assert ask(path, "SELECT count(*) FROM open_attempts") == [(0,)]
