"""`headway config` as people and scripts meet it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headway.cli.config import config, template
from headway.config import Config, load
from headway.errors import ConfigError, InputError

Command = Callable[..., Result]


@pytest.fixture
def headway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`headway config` in a folder of its own; keyword arguments are variables."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADWAY_CONFIG")
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, columns: int = 140, **variables: str) -> Result:
        return CliRunner().invoke(config, arguments, env={"COLUMNS": str(columns), **variables})

    return run


def row(result: Result, setting: str) -> list[str]:
    (line,) = (line for line in result.stdout.splitlines() if line.split()[:1] == [setting])
    return line.split()[1:]


def test_a_file_without_fault_is_shown_as_a_table_with_where_each_value_comes_from(headway: Command) -> None:
    Path("headway.toml").write_text('tier = "tier-2"\n[pools."anthropic/opus-4"]\nrequests = 5\n')
    result = headway("check", HEADWAY_RETRIES="3", ANTHROPIC_API_KEY="sk-ant-hidden")
    assert result.exit_code == 0
    assert row(result, "tier") == ["tier-2", "headway.toml:1"]
    assert row(result, "pools.anthropic/opus-4") == ["requests=5", "headway.toml:2"]
    assert row(result, "retries") == ["3", "HEADWAY_RETRIES"]
    assert row(result, "stream") == ["true", "default"]
    assert row(result, "api_key") == ["set", "ANTHROPIC_API_KEY"]
    assert "hidden" not in result.output


def test_a_key_in_a_file_of_its_own_is_looked_at_and_not_shown(headway: Command, tmp_path: Path) -> None:
    file = tmp_path / "api.key"
    file.write_text("sk-ant-hidden\n")
    file.chmod(0o600)
    result = headway("check", HEADWAY_API_KEY_FILE=str(file), columns=300)
    assert result.exit_code == 0
    assert row(result, "api_key") == ["set", str(file)]
    assert "hidden" not in result.output
    file.chmod(0o644)
    result = headway("check", HEADWAY_API_KEY_FILE=str(file))
    assert result.exit_code == 2
    assert (
        f"error: HEADWAY_API_KEY_FILE: api_key_file: {file}: others than its owner may read it"
        in result.output
    )
    assert f"hint: chmod 600 {file}" in result.output


def test_the_file_that_is_read_is_named_and_those_that_are_not(headway: Command, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / "headway.toml").touch()
    (inner / "mine.toml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inner)
        lines = headway("check").stdout.splitlines()
        assert headway("check", "mine.toml").stdout.splitlines()[0] == f"read: {inner}/mine.toml"
        assert "HEADWAY_CONFIG is none" in headway("check", HEADWAY_CONFIG="none").stdout
    assert lines[0] == f"read: {inner}/headway.toml"
    assert lines[1].startswith("there, not read")
    assert lines[2].startswith("not there")


def test_each_problem_says_where_and_what_to_do_and_the_code_is_2(headway: Command) -> None:
    Path("headway.toml").write_text('max_cost = "20eur"\nteir = 5\n')
    result = headway("check")
    assert result.exit_code == 2
    assert "error: headway.toml:1: max_cost: cannot use '20eur'\nhint: Write dollars" in result.stdout
    assert "error: headway.toml:2: unknown setting teir\nhint: Did you mean tier?" in result.stdout
    assert "setting " not in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tier = "tier-9"', "headway.toml:1: tier: unknown tier 'tier-9'"),
        ('base_url = "api.anthropic.com"', "headway.toml:1: base_url: the base URL"),
        ("tier = tier-2", "headway.toml:1:8: Invalid value"),
    ],
)
def test_what_only_the_parts_can_judge_is_found_too(headway: Command, text: str, said: str) -> None:
    Path("headway.toml").write_text(text)
    result = headway("check")
    assert result.exit_code == 2
    assert f"error: {said}" in result.stdout


def test_a_password_in_a_base_url_is_not_shown(headway: Command) -> None:
    Path("headway.toml").write_text('base_url = "http://me:hidden@host/"')
    for result in (headway("check"), headway("check", "--json")):
        assert result.exit_code == 2
        assert "hidden" not in result.output


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("HEADWAY_TEIR", "HEADWAY_TIER"),
        ("HEADWAY_BASE_URL", "ANTHROPIC_BASE_URL"),
        ("HEADWAY_API_KEY", "ANTHROPIC_API_KEY"),
    ],
)
def test_a_variable_that_nobody_reads_is_a_warning_with_the_nearest_name(
    headway: Command, variable: str, meant: str
) -> None:
    result = headway("check", **{variable: "hidden"})
    assert result.exit_code == 0
    assert f"warning: {variable}: nobody reads this variable\nhint: Did you mean {meant}?" in result.stdout
    assert "hidden" not in result.output


def test_a_pool_that_no_model_draws_on_is_a_warning(headway: Command) -> None:
    Path("headway.toml").write_text(
        '[pools."anthropic/opus-4.x"]\nrequests = 5\n[pools."anthropic/opus-4/fast"]\n'
    )
    result = headway("check")
    assert result.exit_code == 0
    assert result.stdout.count("warning") == 1
    assert "headway.toml:1: no known model draws on pool anthropic/opus-4.x" in result.stdout
    assert "Did you mean anthropic/opus-4?" in result.stdout


def test_machines_get_one_object(headway: Command) -> None:
    Path("headway.toml").write_text('max_cost = "20usd"')
    result = headway("check", "--json", HEADWAY_X="1")
    shown = json.loads(result.stdout)
    assert shown.keys() == {"file", "looked", "problems", "warnings", "settings"}
    assert shown["file"] == str(Path("headway.toml").absolute())
    settings = {entry["setting"]: entry for entry in shown["settings"]}
    assert settings["max_cost"] == {"setting": "max_cost", "value": 20.0, "source": f"{shown['file']}:1"}
    assert [warning["where"] for warning in shown["warnings"]] == ["HEADWAY_X"]
    Path("headway.toml").write_text("max_cost = 0")
    result = headway("check", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["problems"][0]["where"] == f"{shown['file']}:1"


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_the_table_keeps_to_its_width(headway: Command, columns: int) -> None:
    Path("headway.toml").write_text(
        'ledger = "/a/very/long/path/that/goes/on/and/on/until/it/ends/in/l.sqlite3"'
    )
    lines = headway("check", columns=columns).stdout.partition("\n\n")[2].splitlines()
    assert len(lines) > 18
    assert all(len(line) <= columns for line in lines)


def test_nothing_in_a_file_drives_the_terminal(headway: Command) -> None:
    Path("headway.toml").write_text('"\\u001b[2J" = 5\n"[/bold]" = 1\n')
    assert "\x1b[2J" not in headway("check").output
    Path("headway.toml").write_text('ledger = "/\\u001b[2J[/nonsense]"\n')
    result = headway("check")
    assert "\x1b[2J" not in result.output
    assert "[/nonsense]" in result.output


def test_init_writes_a_file_that_sets_nothing_and_overwrites_none(headway: Command, tmp_path: Path) -> None:
    assert headway("init").exit_code == 0
    assert load({}, folder=tmp_path) == Config()
    Path("headway.toml").write_text("# mine")
    assert isinstance(headway("init").exception, InputError)
    assert Path("headway.toml").read_text() == "# mine"
    assert headway("init", "other.toml").exit_code == 0
    assert Path("other.toml").read_text("utf-8") == template()


def test_every_line_of_the_written_file_can_be_used_once_it_is_uncommented(headway: Command) -> None:
    lines = [line.removeprefix("# ") for line in template().splitlines()]
    meant = [line for line in lines if "=" in line or line.startswith("[")]
    Path("api.key").write_text("sk-any")
    Path("api.key").chmod(0o600)
    Path("headway.toml").write_text("\n".join(meant).replace("/etc/headway/api.key", "api.key"))
    assert tomllib.loads("\n".join(meant)).keys() >= {"tier", "limits", "pools", "session"}
    result = headway("check")
    assert result.exit_code == 0, result.stdout
    assert "warning" not in result.stdout


def test_a_file_that_is_named_and_not_there_is_an_error(headway: Command) -> None:
    assert isinstance(headway("check", "gone.toml").exception, ConfigError)
