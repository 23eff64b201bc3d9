"""The thread that writes: order, batches, what happens when writing fails. `write` is a function here, no file."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from headway.errors import LedgerError
from headway.ledger.writer import Writer


class Disk:
    """Takes batches; while `full` it refuses them; while `gate` is closed it blocks."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.full = False
        self.broken = False
        self.tried = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.released = 0

    def write(self, batch: Sequence[Any]) -> int:
        self.tried.release()
        self.gate.wait()
        if self.full:
            raise LedgerError("the disk is full")
        if self.broken:
            raise RuntimeError("never thought of")
        self.batches.append(list(batch))
        return sum(item == "bad" for item in batch)

    def release(self) -> None:
        self.released += 1

    @property
    def items(self) -> list[Any]:
        return [item for batch in self.batches for item in batch]


@contextmanager
def writing(disk: Disk, bound: int = 1000) -> Iterator[Writer]:
    writer = Writer(disk.write, disk.release, bound=bound)
    try:
        yield writer
    finally:
        disk.full = False
        disk.gate.set()
        writer.stop()


def test_everything_arrives_once_and_in_order_in_batches_of_at_most_100() -> None:
    disk = Disk()
    with writing(disk, 10_000) as writer:
        for number in range(2_345):
            writer.put(number)
        writer.flush(10)
        assert disk.items == list(range(2_345))
        assert max(map(len, disk.batches)) == 100
        assert writer.problem is None


def test_many_threads_lose_nothing() -> None:
    disk = Disk()
    with writing(disk, 100_000) as writer:
        threads = [threading.Thread(target=lambda: [writer.put(n) for n in range(1000)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.flush(10)
        assert sorted(disk.items) == sorted(list(range(1000)) * 8)


def test_a_full_disk_keeps_items_and_says_so_and_writes_them_later_in_order() -> None:
    disk = Disk()
    disk.full = True
    with writing(disk) as writer:
        for number in range(250):
            writer.put(number)
        assert disk.tried.acquire(timeout=5)
        assert disk.tried.acquire(timeout=5)  # a second attempt: the first has been told
        assert writer.problem is not None
        assert "the disk is full" in writer.problem
        assert writer.waiting == 250
        disk.full = False
        writer.flush(10)
        assert disk.items == list(range(250))
        assert writer.problem is None


def test_what_goes_beyond_the_bound_is_dropped_and_counted() -> None:
    disk = Disk()
    disk.gate.clear()
    with writing(disk, bound=50) as writer:
        writer.put("first")
        assert disk.tried.acquire(timeout=5)  # it is being written: the queue is empty now
        for number in range(80):
            writer.put(number)
        assert writer.dropped == 30
        disk.gate.set()
        writer.flush(10)
        assert disk.items == ["first", *range(50)]
        assert writer.problem == "30 entries were dropped"


def test_a_flush_that_cannot_be_says_why() -> None:
    disk = Disk()
    disk.full = True
    with writing(disk) as writer:
        writer.put(1)
        assert disk.tried.acquire(timeout=5)
        assert disk.tried.acquire(timeout=5)
        with pytest.raises(LedgerError, match="the disk is full"):
            writer.flush(0.0)


def test_refused_items_are_counted_as_dropped() -> None:
    disk = Disk()
    with writing(disk) as writer:
        for item in ("good", "bad", "good"):
            writer.put(item)
        writer.flush(10)
        assert writer.dropped == 1


def test_an_error_nobody_thought_of_costs_a_batch_and_not_the_thread() -> None:
    disk = Disk()
    disk.broken = True
    with writing(disk) as writer:
        writer.put(1)
        writer.flush(10)
        disk.broken = False
        writer.put(2)
        writer.flush(10)
        assert disk.items == [2]
        assert writer.dropped == 1


def test_stop_writes_what_is_left_and_lets_go_of_the_file() -> None:
    disk = Disk()
    with writing(disk) as writer:
        for number in range(500):
            writer.put(number)
    assert disk.items == list(range(500))
    assert disk.released == 1


def test_stop_gives_up_in_time_and_counts_what_was_lost() -> None:
    disk = Disk()
    disk.full = True
    writer = Writer(disk.write, disk.release, bound=1000)
    for number in range(300):
        writer.put(number)
    writer.stop(timeout_s=0.0)
    assert writer.dropped == 300
    assert disk.items == []


def test_after_stop_items_are_dropped_without_an_error() -> None:
    disk = Disk()
    writer = Writer(disk.write, disk.release)
    writer.stop()
    writer.stop()
    writer.put(1)
    writer.flush(0.0)
    assert writer.dropped == 1


def test_when_nothing_comes_there_is_time_for_other_things() -> None:
    """As long as there is more to do, and not again before something was written. What goes wrong there harms nothing."""
    disk, asked = Disk(), threading.Semaphore(0)
    answers = [True, True, False]

    def idle() -> bool:
        asked.release()
        if len(answers) == 2:
            answers.pop(0)
            raise RuntimeError("never thought of")
        return answers.pop(0) if answers else False

    writer = Writer(disk.write, disk.release, idle=idle)
    try:
        writer.put("one")
        assert asked.acquire(timeout=30)
        assert asked.acquire(timeout=30)
        assert not asked.acquire(timeout=0.6)
        writer.put("two")
        assert asked.acquire(timeout=30)
        writer.flush(30)
        assert disk.items == ["one", "two"]
        assert writer.problem is None
    finally:
        writer.stop()
