from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest

from headway.emulator.profile import parse_profile
from headway.emulator.server import Emulator
from headway.errors import ConfigError, ConnectionFailed

SLOW = b'{"model":"claude-opus-4-5","max_tokens":500,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'
HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\ncontent-length: %d\r\n\r\n"


def test_it_listens_on_loopback_and_a_port_of_its_own() -> None:
    with Emulator("any") as one, Emulator(parse_profile("any")) as other:
        assert one.url.startswith("http://127.0.0.1:")
        assert one.url != other.url
        assert one.stats()["requests"] == other.stats()["requests"] == 0


def test_it_stops_at_once_with_replies_in_flight_and_leaves_nothing_behind() -> None:
    before = threading.active_count()
    with Emulator("any/unlimited?ttft=60s") as emulator:
        place = urlsplit(emulator.url)
        connection = socket.create_connection((place.hostname, place.port), timeout=10)
        connection.sendall(HEAD % len(SLOW) + SLOW)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        began = time.monotonic()
    assert time.monotonic() - began < 2.0
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65_536):
            pass
    connection.close()
    assert threading.active_count() == before


def test_the_port_is_free_again_after_it_has_stopped() -> None:
    with Emulator("any") as first:
        port = urlsplit(first.url).port or 0
    with Emulator("any", port=port) as second:
        assert second.url == first.url


def test_stopping_twice_and_a_second_start_are_allowed() -> None:
    emulator = Emulator("any")
    for _ in range(2):
        with emulator:
            assert emulator.stats()["in_flight"] == 0
        emulator.stop()


def test_a_taken_port_is_said_plainly() -> None:
    with Emulator("any") as emulator, pytest.raises(ConnectionFailed, match="Cannot listen on"):
        Emulator("any", port=urlsplit(emulator.url).port or 0).__enter__()


def test_a_wrong_profile_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError):
        Emulator("claude-opus-4/tier-9")


def test_it_works_without_uvloop() -> None:
    code = """
import asyncio, sys
sys.modules["uvloop"] = None
from headway.emulator.server import Emulator
from http.client import HTTPConnection
with Emulator("any/unlimited?reset=1") as emulator:
    connection = HTTPConnection(emulator.url.removeprefix("http://"), timeout=10)
    head = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    body = '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}'
    connection.request("POST", "/v1/messages", body, head)
    try:
        connection.getresponse()
    except ConnectionResetError:
        print(type(emulator._loop).__module__, emulator.stats()["faults"])
"""
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("asyncio.")
    assert shown.stdout.strip().endswith("{'reset': 1}")
    assert shown.stderr == ""


def test_its_arithmetic_is_its_own() -> None:
    code = "import sys, headway.testing.emulated; print([name for name in sys.modules if name.startswith('headway.')])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "headway.emulator.bucket" in shown.stdout
    assert "headway.core" not in shown.stdout
    assert "headway.providers" not in shown.stdout
