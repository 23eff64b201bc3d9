from __future__ import annotations

import json
import signal
import subprocess
import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import typer
from typer.testing import CliRunner

from headway.cli.emulate import emulate
from headway.emulator.profile import SETTINGS
from headway.errors import ConfigError

app = typer.Typer(rich_markup_mode="rich")
app.command("emulate")(emulate)
PROGRAM = "import typer; from headway.cli.emulate import emulate; typer.run(emulate)"


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop_and_then_ends_well(number: signal.Signals) -> None:
    with start("claude-opus-4/tier-1", "--json") as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        connection = HTTPConnection(urlsplit(said["url"]).netloc, timeout=10)
        connection.request("GET", "/emulator/stats")
        assert json.loads(connection.getresponse().read())["requests"] == 0
        connection.close()
        process.send_signal(number)
        assert process.wait(10) == 0
    assert said["limits"]["input_tokens"] == 30_000


def test_it_says_what_it_emulates_and_how_to_use_it() -> None:
    with start("claude-opus-4/tier-4") as process:
        assert process.stdout is not None
        said = ""
        while "export ANTHROPIC_BASE_URL=http://127.0.0.1:" not in said:
            line = process.stdout.readline()
            assert line
            said += line
        process.terminate()
    assert "2,000,000" in said


def test_every_setting_is_listed() -> None:
    listed = json.loads(CliRunner().invoke(app, ["--settings", "--json"]).stdout)
    assert {known.key for known in SETTINGS} <= {row["setting"] for row in listed}
    assert "overloaded" in CliRunner().invoke(app, ["--settings"]).stdout


def test_a_wrong_profile_is_an_error_of_ours_with_a_way_out() -> None:
    with pytest.raises(ConfigError) as caught:
        CliRunner().invoke(app, ["claude-opus-4/tier-1?brust=5s"], catch_exceptions=False)
    assert "burst" in caught.value.hint


def test_help_shows_examples() -> None:
    assert (
        'headway emulate "any/unlimited?requests=50&tokens=200k"'
        in CliRunner().invoke(app, ["--help"]).stdout
    )
