"""A program behind a gateway of its own: its environment, its exit code, signals, and what is said at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.cli.exec import environment
from headway.testing.emulated import Emulator

ASK = """
import json, os, urllib.request
body = json.dumps({"model": "claude-opus-4-8", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]})
request = urllib.request.Request(
    os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", body.encode(),
    {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "content-type": "application/json"},
)
print(json.load(urllib.request.urlopen(request))["usage"]["output_tokens"])
"""
PROGRAM = "from headway.cli.main import run; run()"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def variables(headway_emulator: Emulator, tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "ANTHROPIC_BASE_URL": headway_emulator.url,
        "ANTHROPIC_API_KEY": "sk-ant-real",
        "ANTHROPIC_AUTH_TOKEN": "",
        "HEADWAY_LEDGER": str(tmp_path / "ledger.sqlite3"),
    }


@pytest.fixture
def headway(variables: dict[str, str]) -> Run:
    """`headway exec` with these arguments."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PROGRAM, "exec", *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_a_program_is_served_and_what_it_used_is_said(headway: Run, headway_emulator: Emulator) -> None:
    done = headway("--", sys.executable, "-c", ASK)
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
    assert done.stderr.startswith("headway: 1 call, 8 tokens in, 5 out, $0.000")
    assert done.stderr.count("\n") == 1
    assert headway_emulator.stats()["completed"] == 1


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_the_programs(headway: Run, code: int) -> None:
    assert headway("--quiet", "--", "sh", "-c", f"exit {code}").returncode == code


def test_a_program_that_a_signal_ended_ends_as_in_a_shell(headway: Run) -> None:
    assert headway("--", "sh", "-c", "kill -9 $$").returncode == 128 + 9


@pytest.mark.parametrize(("name", "code"), [("no-such-program", 127), ("/", 126)])
def test_a_program_that_cannot_be_run_is_said(headway: Run, name: str, code: int) -> None:
    done = headway("--", name)
    assert done.returncode == code
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_the_options_of_a_program_are_its_own(headway: Run) -> None:
    assert headway("--quiet", "--", "echo", "--limits", "-q").stdout == "--limits -q\n"


def test_a_signal_reaches_the_program(variables: dict[str, str]) -> None:
    script = 'trap "echo stopped; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
    command = [sys.executable, "-c", PROGRAM, "exec", "--quiet", "--", "sh", "-c", script]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.stdout.read() == "stopped\n"
        assert running.wait(30) == 5


def test_a_budget_holds_for_all_that_a_program_asks(headway: Run) -> None:
    done = headway("--max-cost", "0.0001usd", "--", sys.executable, "-c", ASK)
    assert done.returncode == 1
    assert "402" in done.stderr
    assert "1 call refused" in done.stderr


def test_a_program_never_has_the_key_of_the_api(headway: Run) -> None:
    dump = "import json, os; print(json.dumps(dict(os.environ)))"
    seen = json.loads(headway("--quiet", "--", sys.executable, "-c", dump).stdout)
    assert "sk-ant-real" not in seen.values()
    assert seen["ANTHROPIC_API_KEY"].startswith("hw-exec-")
    assert seen["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")


def test_a_proxy_of_the_environment_is_not_in_between() -> None:
    inner = environment(
        {"HTTP_PROXY": "http://proxy", "NO_PROXY": "intern", "A": "b"}, "http://127.0.0.1:1", "hw"
    )
    assert inner["NO_PROXY"] == "intern,127.0.0.1,localhost"
    assert inner["no_proxy"] == "127.0.0.1,localhost"
    assert (inner["A"], inner["ANTHROPIC_API_KEY"]) == ("b", "hw")
