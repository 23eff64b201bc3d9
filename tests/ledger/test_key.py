"""A ledger has one key, which is its owner's alone, and no call ever fails for want of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headway.ledger.key import SIZE, fingerprint_key, key_path

SCRIPT = """
import pathlib, sys
from headway.ledger.key import fingerprint_key
sys.stdin.read(1)
print(fingerprint_key(pathlib.Path(sys.argv[1])).hex())
"""


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    ledger = tmp_path / "new" / "ledger.sqlite3"
    key = fingerprint_key(ledger)
    assert key is not None
    assert len(key) == SIZE
    assert fingerprint_key(ledger) == key == key_path(ledger).read_bytes()
    assert key_path(ledger) == tmp_path / "new" / "ledger.sqlite3.key"
    assert key_path(ledger).stat().st_mode & 0o777 == 0o600


def test_two_ledgers_have_two_keys(tmp_path: Path) -> None:
    assert fingerprint_key(tmp_path / "a") != fingerprint_key(tmp_path / "b")


def test_threads_that_come_at_once_have_the_same(tmp_path: Path) -> None:
    for attempt in range(20):
        ledger, found, ready = tmp_path / f"ledger{attempt}", [], threading.Barrier(8)

        def come(
            ledger: Path = ledger, found: list[bytes | None] = found, ready: threading.Barrier = ready
        ) -> None:
            ready.wait()
            found.append(fingerprint_key(ledger))

        threads = [threading.Thread(target=come) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        assert found[0] is not None


def test_processes_that_come_at_once_have_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "ledger")]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("g")  # all of them wait for this: they begin together
        process.stdin.flush()
    keys = {process.communicate(timeout=60)[0] for process in running}
    assert len(keys) == 1
    assert keys == {f"{(tmp_path / 'ledger.key').read_bytes().hex()}\n"}


def test_an_empty_file_as_a_crash_may_leave_it_becomes_the_key(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    key_path(ledger).touch()
    assert fingerprint_key(ledger) == key_path(ledger).read_bytes() != b""


@pytest.mark.parametrize("content", [b"x", b"x" * (SIZE - 1), b"x" * (SIZE + 1), b"x" * 10_000])
def test_what_is_no_key_is_left_alone(tmp_path: Path, content: bytes) -> None:
    ledger = tmp_path / "ledger"
    key_path(ledger).write_bytes(content)
    assert fingerprint_key(ledger) is None
    assert key_path(ledger).read_bytes() == content


def test_a_folder_in_its_place_and_one_that_cannot_be_made_give_none(tmp_path: Path) -> None:
    key_path(tmp_path / "ledger").mkdir()
    assert fingerprint_key(tmp_path / "ledger") is None
    (tmp_path / "file").touch()
    assert fingerprint_key(tmp_path / "file" / "ledger") is None


def test_a_file_that_may_not_be_read_gives_none(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    ledger = tmp_path / "ledger"
    fingerprint_key(ledger)
    key_path(ledger).chmod(0)
    assert fingerprint_key(ledger) is None


def test_a_disk_without_room_gives_none_and_leaves_no_half_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    ledger = tmp_path / "ledger"
    assert fingerprint_key(ledger) is None
    monkeypatch.undo()
    assert fingerprint_key(ledger) == key_path(ledger).read_bytes() != b""
