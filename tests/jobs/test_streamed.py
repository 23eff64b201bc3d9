from __future__ import annotations

import fcntl
import os

from headway.jobs.result import succeeded, write_result
from headway.jobs.results import Verdict
from headway.jobs.streamed import Streamed


def test_results_go_out_whole_and_in_order_to_a_reader_that_is_slow() -> None:
    read, write = os.pipe()
    results = Streamed(write)
    lines = [succeeded({"text": str(number) * 5000}) for number in range(100)]
    assert results.is_empty
    assert results.repair(lambda _known: Verdict.KEEP) == 0
    for number, line in enumerate(lines):
        results.append(str(number), line)
    assert not results.retry()
    assert results.may_clear
    received = b""
    os.set_blocking(read, False)
    while results.waiting:
        received += os.read(read, 1 << 16)
        results.retry()
    received += os.read(read, 1 << 20)
    assert received == b"".join(write_result(str(number), line) for number, line in enumerate(lines))
    os.close(read)
    os.close(write)


def test_a_reader_that_is_gone_does_not_come_back() -> None:
    read, write = os.pipe()
    os.close(read)
    results = Streamed(write)
    assert not results.append("a", succeeded({}))
    assert not results.may_clear
    assert results.exit_code == 141
    assert fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK == 0  # others share this description
    os.close(write)
