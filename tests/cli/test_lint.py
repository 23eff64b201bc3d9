"""`headway lint` as people start it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from headway.cli.main import run

BAD = "Write to [INSERT NAME] about the delay of the parcel.\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, stdin: bytes = b""
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["headway", "lint", *arguments])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    code: object = 0
    try:
        run()
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return code or 0, captured.out, captured.err


def test_a_clean_prompt_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.txt").write_text("Say hello to the reader of the letter.\n")
    assert said(monkeypatch, capsys, "p.txt") == (0, "1 prompt, nothing found.\n", "")


def test_a_finding_has_place_rule_reason_and_something_better(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.txt").write_text(BAD)
    code, out, _ = said(monkeypatch, capsys, "p.txt")
    assert code == 1
    assert out.splitlines() == [
        "p.txt:1:10: HW102 warning '[INSERT NAME]' is left over from writing the prompt.",
        "    better: Fill it, or take it out.",
        "1 prompt: 1 warning.",
    ]


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ((), 1),
        (("--fail-on", "error"), 0),
        (("--fail-on", "never"), 0),
        (("--fail-on", "info"), 1),
        (("--ignore", "HW1"), 0),
        (("--select", "HW3"), 0),
        (("--select", "HW102"), 1),
    ],
)
def test_the_exit_code_is_what_was_asked_for(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    code: int,
) -> None:
    (folder / "p.txt").write_text(BAD)
    assert said(monkeypatch, capsys, "p.txt", *flags)[0] == code


def test_json_has_all_of_it_for_machines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(monkeypatch, capsys, "-", "--format", "json", stdin=BAD.encode())
    told = json.loads(out)
    assert code == 1
    assert (told["file"], told["kind"], told["prompts"]) == ("standard input", "text", 1)
    (one,) = told["findings"]
    assert (one["rule"], one["severity"], one["place"]["row"], one["place"]["column"]) == (
        "HW102",
        "warning",
        1,
        10,
    )


def test_many_alike_are_told_as_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.dumps({"prompt": "Hi", "model": "claude-opus-4-8"}) + "\n"
    (folder / "job.jsonl").write_text(line * 30)
    code, out, _ = said(monkeypatch, capsys, "job.jsonl")
    assert code == 1
    assert (
        "job.jsonl:1: HW401 error No max_tokens: the API refuses the request. [and in 29 more places]" in out
    )
    assert out.count("HW401") == 1
    assert out.endswith("30 prompts: 30 errors.\n")


def test_prompts_cannot_drive_the_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.txt").write_text("Write to [INSERT \x1b[31m\x07 it] and [INSERT [bold]x] for the reader.\n")
    _, out, _ = said(monkeypatch, capsys, "p.txt")
    assert "\x1b" not in out
    assert "\x07" not in out


def test_a_system_prompt_of_its_own_is_read_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.txt").write_text("Give a detailed answer to the user.\n")
    (folder / "s.txt").write_text("Be brief to the user, always.\n")
    _, out, _ = said(monkeypatch, capsys, "p.txt", "--system", "s.txt")
    assert "HW103" in out
    assert "s.txt:1:1" in out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("none.txt",), "cannot read none.txt"),
        (("p.txt", "--select", "HW999"), "there is no rule 'HW999'"),
        (("p.txt", "--system", "none.txt"), "cannot read none.txt"),
        (("empty.txt",), "empty.txt is empty"),
        (("binary.txt",), "not UTF-8"),
        (("v.toml",), "has no model"),
    ],
)
def test_what_cannot_be_read_is_said(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    text: str,
) -> None:
    (folder / "p.txt").write_text(BAD)
    (folder / "empty.txt").touch()
    (folder / "binary.txt").write_bytes(b"\xff\xfe")
    (folder / "v.toml").write_text('[[variant]]\nprompt = "x"\n')
    code, out, err = said(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert text in err


def test_lines_that_could_not_be_read_are_never_exit_code_0(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.dumps({"prompt": "Hi", "model": "claude-opus-4-8", "max_tokens": 5})
    (folder / "job.jsonl").write_text(f"{good}\n{{not json\n")
    for flags in ((), ("--fail-on", "never"), ("--json",)):
        code, out, _ = said(monkeypatch, capsys, "job.jsonl", *flags)
        assert code == 2
        assert ("unreadable_lines" if flags == ("--json",) else "1 line could not be read") in out


def test_no_rule_at_all_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.txt").write_text(BAD)
    code, _, err = said(monkeypatch, capsys, "p.txt", "--select", "")
    assert code == 2
    assert "--select names no rule" in err


def test_json_by_either_flag_is_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.txt").write_text(BAD)
    assert said(monkeypatch, capsys, "p.txt", "--json") == said(
        monkeypatch, capsys, "p.txt", "--format", "json"
    )


def test_a_system_prompt_that_is_not_utf_8_is_refused_with_its_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.txt").write_text(BAD)
    (folder / "s.txt").write_bytes(b"fine\nbad \xff\n")
    code, _, err = said(monkeypatch, capsys, "p.txt", "--system", "s.txt")
    assert code == 2
    assert "s.txt is not UTF-8 text (line 2" in err
