from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from headway.emulator.process import spawn
from headway.errors import ConfigError

PARENT = """
import sys
from headway.emulator.process import spawn
emulator = spawn("any")
print(emulator.pid, emulator.url, flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_it_runs_in_another_process_and_ends_with_the_block() -> None:
    with spawn("claude-opus-4/tier-1?ttft=0&speed=1M") as emulator:
        assert emulator.pid != os.getpid()
        connection = HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
        body = b'{"model":"claude-opus-4-5","max_tokens":5,"messages":[{"role":"user","content":"Hello"}]}'
        connection.request(
            "POST", "/v1/messages", body, {"x-api-key": "k", "anthropic-version": "2023-06-01"}
        )
        assert connection.getresponse().status == 200
        connection.close()
        assert emulator.stats()["completed"] == 1
        emulator.reset()
        assert emulator.stats()["requests"] == 0
        began = time.monotonic()
    assert time.monotonic() - began < 3.0
    assert not alive(emulator.pid)
    emulator.stop()


def test_it_dies_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 10.0
        while alive(pid):
            assert time.monotonic() < deadline, "the emulator outlived its parent"
            time.sleep(0.02)


def test_ctrl_c_is_for_the_parent_alone() -> None:
    with spawn("any") as emulator:
        assert os.getsid(emulator.pid) != os.getsid(0)


def test_a_wrong_profile_is_refused_in_the_parent() -> None:
    with pytest.raises(ConfigError):
        spawn("claude-opus-4/tier-9")
