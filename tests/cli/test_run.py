from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from headway.cli.display import Display, draw, plain, show_summary
from headway.cli.files import is_text, open_job
from headway.cli.main import app, run
from headway.cli.run import DEFAULT_PROFILE, _default_output, _models, _tiers, with_profile
from headway.errors import InputError
from headway.jobs.view import LimitView, View

VIEW = View(
    total=1200,
    done=300,
    failed=2,
    in_flight=40,
    elapsed_s=65.0,
    left_s=3700.0,
    input_tokens=120_000,
    output_tokens=4_000,
    expected_input=500_000.0,
    expected_output=90_000.0,
    usd=1.5,
    expected_usd=6.25,
    rate_limited=3,
    limits=(
        LimitView("4,000 requests/min", 0.5, 0.9, False),
        LimitView("400,000 output tokens/min", None, 0.8, True),
    ),
    waits_for="output tokens",
    note="overloaded_error: busy\x1b[31m [/bold]",
)
SUMMARY = {
    "succeeded": 1,
    "errored": 2,
    "already_done": 3,
    "already_errored": 0,
    "left": 4,
    "attempts": 5,
    "rate_limited": 1,
    "tokens": {"input": 10, "cache_read": 20, "cache_write_5m": 5, "cache_write_1h": 0, "output": 7},
    "cost_usd": 0.5,
    "cost_before_usd": 0.25,
    "unpriced_attempts": 1,
    "estimated_attempts": 1,
    "elapsed_s": 61.0,
    "limits": [
        {"unit": "output_tokens", "share_used": 0.97, "amount": 8000.0, "period_s": 60.0, "bound_s": 50.0}
    ],
    "output": "odd[/name].jsonl",
    "errors": {"evil[/x]\x1b]0;": 2},
    "stopped": {"reason": "said [/nonsense] \x1b[2J", "hint": "Go on."},
}


def shown(width: int) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=width, force_terminal=True, color_system=None, highlight=False), text


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_the_display_keeps_to_its_lines_at_every_width(width: int) -> None:
    console, text = shown(width)
    console.print(draw(VIEW, width))
    lines = text.getvalue().rstrip("\n").split("\n")
    assert all(len(line) <= width for line in lines)
    if width >= 80:
        assert len(lines) == 6
        assert "300 of 1,200" in lines[0]
        assert "next call waits for: output tokens" in lines[4]


def test_the_display_says_all_that_matters_on_a_usual_terminal() -> None:
    console, text = shown(120)
    console.print(draw(VIEW, 120))
    for said in (
        "2 failed",
        "40 in flight",
        "1:05 gone, 1:01:40 left",
        "120.0k in, 4.0k out of about 500.0k, 90.0k",
        "$1.50 of about $6.25",
        "3 refused",
        "50% left",
        "learning",
        "80% of quota used binds",
        "overloaded_error: busy",
    ):
        assert said in text.getvalue()
    assert "\x1b[31m" not in text.getvalue()


def test_without_a_terminal_a_line_is_said_once() -> None:
    assert plain(VIEW).startswith(
        "300/1,200 done, 2 failed, 40 in flight, 120.0k in, 4.0k out, $1.5000, 1:05 gone"
    )
    assert "\x1b" not in plain(VIEW)


def test_plain_lines_go_to_standard_error_and_the_same_one_only_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Display(Console(file=io.StringIO())) as display:
        display.show(VIEW)
        display.show(VIEW)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == plain(VIEW) + "\n"


def test_the_summary_says_everything_and_obeys_nothing_of_what_it_quotes() -> None:
    console, text = shown(130)
    show_summary(SUMMARY, console)
    for said in (
        "1 succeeded, 2 errored, 3 done before, 4 left",
        "5, 1 refused by a limit (429)",
        "10 in, 20 read from cache, 5 written to it, 7 out",
        "$0.5000, after $0.2500 in earlier runs, and 1 attempts of unknown price, 1 broken attempts estimated",
        "97% of 8,000 a minute used, bound for 50s",
        "odd[/name].jsonl",
        "2 × evil[/x]",
        "stopped: said [/nonsense]",
        "hint: Go on.",
    ):
        assert said in text.getvalue()
    assert "\x1b" not in text.getvalue()


@pytest.mark.parametrize(
    ("arguments", "filled"),
    [
        ("run job.jsonl --emulate", f"run job.jsonl --emulate {DEFAULT_PROFILE}"),
        ("run --emulate job.jsonl", f"run --emulate {DEFAULT_PROFILE} job.jsonl"),
        ("run --emulate --json j", f"run --emulate {DEFAULT_PROFILE} --json j"),
        ("run --emulate - -o x", f"run --emulate {DEFAULT_PROFILE} - -o x"),
        ("run j --emulate claude-opus-4", "run j --emulate claude-opus-4"),
        ("run j --emulate any/unlimited?ttft=1", "run j --emulate any/unlimited?ttft=1"),
        ("run j --emulate clode-opus-4/tier-1", "run j --emulate clode-opus-4/tier-1"),
        ("run j --emulate=any", "run j --emulate=any"),
    ],
)
def test_emulate_stands_alone_or_takes_a_profile(arguments: str, filled: str) -> None:
    assert with_profile(arguments.split()) == filled.split()


def test_a_job_file_in_a_folder_that_looks_like_a_profile_is_no_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a.jsonl").touch()
    assert with_profile(["run", "--emulate", "jobs/a.jsonl"])[2:] == [DEFAULT_PROFILE, "jobs/a.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", b"Hello\n", True),
        ("a.txt", b"\n  \xef\xbb\xbf{}\n", True),
        ("a.txt", b'\xef\xbb\xbf{"prompt": 1}\n', False),
        ("a", b"\n \n{", False),
        ("a", b"", False),
        ("a.jsonl", b"Hello\n", False),
        ("a.NDJSON", b"Hello\n", False),
    ],
)
def test_text_and_json_are_told_apart(tmp_path: Path, name: str, content: bytes, text: bool) -> None:
    (tmp_path / name).write_bytes(content)
    with open_job(str(tmp_path / name)) as file:
        assert is_text(name, file) is text


def test_what_can_be_read_only_once_is_copied(tmp_path: Path) -> None:
    with Path(f"/dev/fd/{_pipe(b'one line')}").open("rb") as pipe, open_job(pipe.name) as file:
        assert [file.read(), file.seek(0), file.read()] == [b"one line", 0, b"one line"]
    with pytest.raises(InputError, match="no such file"):
        open_job(str(tmp_path / "none"))
    with pytest.raises(InputError, match="cannot read"):
        open_job(str(tmp_path))


def _pipe(data: bytes) -> int:
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    return read


def test_help_has_examples_and_explains_exit_codes_and_ctrl_c() -> None:
    text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "120"}).stdout
    text = re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]", " ", text))
    for said in (
        "headway run prompts.jsonl --emulate",
        "Exit codes",
        "130 Ctrl-C",
        "a second one",
        "143 SIGTERM",
    ):
        assert said in text


def said_by(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["headway", *arguments])
    with pytest.raises(SystemExit) as caught:
        run()
    captured = capsys.readouterr()
    return caught.value.code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.jsonl",), "no such file: none.jsonl"),
        (("-", "--json"), "cannot share standard output"),
        (("job.jsonl", "-o", "-", "--json"), "cannot share standard output"),
        (("job.jsonl", "--max-cost", "cheap"), "--max-cost: cannot use 'cheap'"),
        (("job.jsonl", "--max-cost", "nan"), "more than 0"),
        (("job.jsonl", "--max-cost", "-1"), "more than 0"),
        (("job.jsonl", "--max-wait", "soon"), "--max-wait"),
        (("job.jsonl", "--limits", "request=5"), "Did you mean requests?"),
        (("job.jsonl", "--tier", "tier-9"), "unknown tier 'tier-9'"),
        (("job.jsonl", "--burst", "much"), "--burst"),
        (("job.jsonl", "--base-url", "http://me:secret@h/"), "base URL 'h/' cannot be used"),
        (("job.jsonl", "--base-url", "ftp://h"), "https://host"),
        (("job.jsonl", "--emulate", "claude-opus-4/tier-x"), "Unknown tier"),
        (("job.jsonl", "-o", "."), "not a file"),
        (("job.jsonl", "-o", "job.jsonl"), "same file"),
    ],
)
def test_wrong_settings_are_said_in_one_sentence_and_a_hint(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-hidden")
    params = {"model": "claude-opus-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    (tmp_path / "job.jsonl").write_text(json.dumps({"custom_id": "a", "params": params}) + "\n")
    code, out, err = said_by(monkeypatch, capsys, "run", *arguments)
    assert code in (2, 5)
    assert out == ""
    assert said in err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert "secret" not in err
    assert "hidden" not in err


def test_without_a_key_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    code, _, err = said_by(monkeypatch, capsys, "run", "job.jsonl")
    assert code == 2
    assert "--emulate" in err


def test_the_options_complete_models_and_tiers() -> None:
    assert "claude-opus-4-5" in _models("claude-opus")
    assert "tier-1" in _tiers("tier-")


def test_results_of_a_job_in_a_read_only_folder_go_to_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    (folder / "job.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    assert _default_output(folder / "job.jsonl") == folder / "job.results.jsonl"
    folder.chmod(0o555)
    assert _default_output(folder / "job.jsonl") == Path("job.results.jsonl")


def test_settings_of_the_file_count_where_no_flag_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADWAY_CONFIG")
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-hidden")
    Path("job.jsonl").write_text('{"prompt": "Hi", "model": "claude-opus-4-8", "max_tokens": 9}\n')
    Path("headway.toml").write_text('base_url = "http://127.0.0.1:9"\nretries = 0\nledger = "none"\n')
    code, _, err = said_by(monkeypatch, capsys, "run", "job.jsonl")
    assert code == 5
    assert "http://127.0.0.1:9" in err
    Path("headway.toml").write_text('retries = "many"\n')
    code, _, err = said_by(monkeypatch, capsys, "run", "job.jsonl")
    assert code == 2
    assert err.startswith(
        f"error: {tmp_path}/headway.toml:1: retries: cannot use 'many'\nhint: Write a whole"
    )
