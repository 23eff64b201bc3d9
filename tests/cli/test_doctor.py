"""`headway doctor` finds what is wrong, says what to do, and proves that a limit bites."""

from __future__ import annotations

import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headway.cli import checks, proof
from headway.cli.checks import Check
from headway.cli.doctor import judge
from headway.cli.main import app
from headway.cli.proof import CALLS, Proof
from headway.config import Config
from headway.testing.emulated import Emulator
from transport.provider import Provider
from transport.replies import http

KEY = "sk-ant-api03-secret"
Look = Callable[..., list[dict[str, str]]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Run it in a folder of its own; what it found. The key is shown nowhere."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("HEADWAY_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)

    def run(*arguments: str, exit_code: int = 0, **environment: str) -> list[dict[str, str]]:
        known = {"ANTHROPIC_API_KEY": KEY, "HEADWAY_LEDGER": str(tmp_path / "ledger.sqlite3")} | environment
        given = [*arguments, *(["--no-proof"] if "--proof" not in arguments else [])]
        result = CliRunner().invoke(app, ["doctor", "--json", *given], env=known)
        assert result.exit_code == exit_code, result.output
        assert KEY not in result.output
        found = json.loads(result.stdout)
        assert found["ok"] is (exit_code == 0)
        checks: list[dict[str, str]] = found["checks"]
        return checks

    return run


def named(found: list[dict[str, str]], name: str) -> dict[str, str]:
    [check] = [check for check in found if check["name"] == name]
    return check


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def test_against_an_api_that_works_all_is_well(look: Look, headway_emulator: Emulator) -> None:
    found = look(ANTHROPIC_BASE_URL=headway_emulator.url)
    assert {check["state"] for check in found if check["name"] not in ("speed", "files")} == {"ok"}
    assert {"settings", "key", "name", "connection", "api", "clock", "ledger"} <= {
        check["name"] for check in found
    }


def test_in_text_each_finding_is_a_line_and_each_hint_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"ANTHROPIC_API_KEY": "", "HEADWAY_LEDGER": "none", "HEADWAY_CONFIG": "none"}
    result = CliRunner().invoke(app, ["doctor", "--offline", "--no-proof"], env=environment)
    assert result.exit_code == 1
    assert "problem key        no key of the API\n" in result.stdout
    assert "hint: export ANTHROPIC_API_KEY=" in result.stdout
    assert "1 problem" in result.stdout.splitlines()[-1]


def test_offline_and_without_proof_nobody_is_asked(look: Look) -> None:
    found = look("--offline", ANTHROPIC_BASE_URL="http://127.0.0.1:1")
    assert {check["name"] for check in found} <= {
        "settings",
        "key",
        "ledger",
        "keys",
        "speed",
        "files",
        "disk",
    }


@pytest.mark.parametrize("key", ["", '"sk-ant-x"', "sk-ant x", "sk-änt"])
def test_no_key_and_one_that_cannot_be_right_are_problems(look: Look, key: str) -> None:
    [problem] = [
        check
        for check in look("--offline", exit_code=1, ANTHROPIC_API_KEY=key)
        if check["state"] == "problem"
    ]
    assert problem["name"] == "key" or "ANTHROPIC_API_KEY" in problem["says"]
    assert problem["hint"]


def test_a_key_of_a_gateway_is_a_warning(look: Look) -> None:
    assert named(look("--offline", ANTHROPIC_API_KEY="hw-search-abc"), "key")["state"] == "warning"


def test_what_is_wrong_with_the_settings_ends_it_with_the_place(look: Look, tmp_path: Path) -> None:
    (tmp_path / "headway.toml").write_text('tier = "tier-9"\n')
    [check] = look(exit_code=1)
    assert (check["name"], check["state"]) == ("settings", "problem")
    assert "headway.toml:1" in check["says"] or "tier-9" in check["says"]
    assert check["hint"]


def test_a_variable_that_nobody_reads_is_a_warning(look: Look) -> None:
    found = look("--offline", HEADWAY_TEIR="tier-2")
    assert ("warning", "Did you mean HEADWAY_TIER?") in [(check["state"], check["hint"]) for check in found]


def test_nobody_there_is_a_problem_and_nothing_is_asked(look: Look) -> None:
    found = look(exit_code=1, ANTHROPIC_BASE_URL=f"http://127.0.0.1:{closed_port()}")
    assert "refused" in named(found, "connection")["says"]
    assert "api" not in {check["name"] for check in found}


def test_a_name_that_does_not_exist_is_a_problem(look: Look) -> None:
    found = look(exit_code=1, ANTHROPIC_BASE_URL="https://nobody.invalid")
    assert named(found, "name")["state"] == "problem"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, "ok"),
        (401, "problem"),
        (403, "problem"),
        (404, "warning"),
        (429, "ok"),
        (500, "problem"),
        (529, "problem"),
    ],
)
def test_what_the_api_answers_is_judged(status: int, state: str) -> None:
    provider = Provider(lambda _: [http(b"{}", status)])
    try:
        [check] = [
            each for each in checks.of_api(Config(api_key=KEY, base_url=provider.url)) if each.name == "api"
        ]
    finally:
        provider.close()
    assert check.state == state
    assert str(status) in check.says
    assert bool(check.hint) is (state != "ok")


def test_without_a_key_a_401_shows_that_the_api_is_there() -> None:
    provider = Provider(lambda _: [http(b"{}", 401)])
    try:
        states = [check.state for check in checks.of_api(Config(base_url=provider.url))]
    finally:
        provider.close()
    assert "problem" not in states


@pytest.mark.parametrize(
    ("off_s", "state"), [(0, "ok"), (1, "ok"), (-30, "warning"), (30, "warning"), (7200, "problem")]
)
def test_a_clock_that_is_off_is_found(off_s: int, state: str) -> None:
    provider = Provider(lambda _: [http(b"{}", date=formatdate(time.time() + off_s, usegmt=True))])
    try:
        [check] = [
            each for each in checks.of_api(Config(api_key=KEY, base_url=provider.url)) if each.name == "clock"
        ]
    finally:
        provider.close()
    assert check.state == state
    if off_s:
        assert ("behind" if off_s > 0 else "ahead") in check.says or state == "ok"


def test_a_date_that_is_none_says_nothing_of_the_clock() -> None:
    provider = Provider(lambda _: [http(b"{}", date="yesterday")])
    try:
        names = [check.name for check in checks.of_api(Config(api_key=KEY, base_url=provider.url))]
    finally:
        provider.close()
    assert "clock" not in names


def test_a_port_that_speaks_no_tls_is_a_problem(headway_emulator: Emulator) -> None:
    config = Config(api_key=KEY, base_url=headway_emulator.url.replace("http:", "https:"))
    [check] = [each for each in checks.of_api(config) if each.name == "connection"]
    assert check.state == "problem"
    assert "TLS" in check.says


def test_a_certificate_that_is_not_good_is_said_in_words() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    assert checks._why(error) == "its certificate is not good: self-signed certificate"


def test_a_ledger_that_is_there_is_tried_and_left_as_it_is(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    assert "will be made" in named(look("--offline"), "ledger")["says"]
    assert not path.exists()


def test_a_file_that_is_no_ledger_is_a_problem(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_text("a diary, and nothing for machines " * 100)
    assert named(look("--offline", exit_code=1), "ledger")["state"] == "problem"
    assert path.read_text().startswith("a diary")


def test_a_file_of_keys_that_others_may_read_is_a_problem(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"version": 1, "keys": []}')
    path.chmod(0o644)
    found = look("--offline", exit_code=1, HEADWAY_KEYS=str(path))
    assert "chmod 600" in named(found, "keys")["hint"]
    path.chmod(0o600)
    assert named(look("--offline", HEADWAY_KEYS=str(path)), "keys")["state"] == "ok"


def test_a_proxy_that_is_not_used_is_a_warning(
    look: Look, headway_emulator: Emulator, monkeypatch: Any
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    found = look(ANTHROPIC_BASE_URL=headway_emulator.url, HTTPS_PROXY="http://proxy.example:3128")
    assert named(found, "proxy")["state"] == "warning"


def test_the_limit_bites_and_that_is_proved_in_less_than_five_seconds(look: Look) -> None:
    began = time.monotonic()
    check = named(look("--offline", "--proof"), "pacing")
    assert check["state"] == "ok"
    assert "none with it" in check["says"]
    assert time.monotonic() - began < 5.0


def test_a_limit_that_does_not_bite_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is taken out of the way, as a mistake would do it."""

    def unpaced(engine: Any) -> bool:
        return proof._bare(engine.config.base_url) is not None

    monkeypatch.setattr(proof, "_is_answered", unpaced)
    found = proof.prove()
    assert not found.holds
    assert judge(found).state == "problem"


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (Proof(8, 0, CALLS, 1.7, ("requests",)), "ok"),
        (Proof(0, 0, CALLS, 1.7, ("requests",)), "warning"),
        (Proof(8, 1, CALLS, 1.7, ("requests",)), "problem"),
        (Proof(8, 0, CALLS - 1, 1.7, ("requests",)), "problem"),
        (Proof(8, 0, CALLS, 0.0, ()), "problem"),
    ],
)
def test_only_calls_that_all_came_back_after_waiting_for_the_limit_prove_it(found: Proof, state: str) -> None:
    check: Check = judge(found)
    assert check.state == state
    assert bool(check.hint) is (state != "ok")
