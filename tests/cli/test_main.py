from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from headway import __version__
from headway.cli import main
from headway.errors import JobFileError, LedgerError


def ended(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> object:
    def fail(_arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.delenv("HEADWAY_DEBUG", raising=False)
    monkeypatch.setattr(sys, "argv", ["headway", "run", "x"])
    with pytest.raises(SystemExit) as caught:
        main.run()
    return caught.value.code


def test_our_errors_are_one_sentence_a_hint_and_their_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, JobFileError("[bad] file\x1b[2J\n  line 2", hint="Mend it.")) == 2
    assert capsys.readouterr().err == "error: [bad] file�[2J\n  line 2\nhint: Mend it.\n"


def test_an_error_of_ours_is_found_in_a_group(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group = BaseExceptionGroup("g", [ValueError("x"), BaseExceptionGroup("h", [LedgerError("full")])])
    assert ended(monkeypatch, group) == 5
    assert "error: full" in capsys.readouterr().err


def test_an_error_of_the_system_is_said_with_its_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/x/y")) == 5
    assert capsys.readouterr().err == "error: /x/y: No space left on device\n"


def test_a_mistake_of_our_own_shows_no_data_and_no_traceback_unless_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, ExceptionGroup("g", [ValueError("a prompt")])) == 70
    err = capsys.readouterr().err
    assert "ValueError" in err
    assert "prompt" not in err
    assert "HEADWAY_DEBUG=1" in err
    monkeypatch.setenv("HEADWAY_DEBUG", "1")
    with pytest.raises(ExceptionGroup):
        main.run()


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_the_version_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["headway", "--version"])
    with pytest.raises(SystemExit) as caught:
        main.run()
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"headway {__version__}\n"


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (["run", "j", "--emulate"], ["run", "j", "--emulate", "claude-opus-4/tier-4"]),
        (["compare", "v", "i", "--emulate"], ["compare", "v", "i", "--emulate", "claude-opus-4/tier-4"]),
        (["usage", "--emulate"], ["usage", "--emulate"]),
        ([], []),
    ],
)
def test_emulate_may_stand_alone_where_jobs_are_run(
    monkeypatch: pytest.MonkeyPatch, given: list[str], filled: list[str]
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(main, "app", seen.append)
    monkeypatch.setattr(sys, "argv", ["headway", *given])
    main.run()
    assert seen == [filled]


def test_a_command_imports_what_it_needs_and_nothing_of_the_others() -> None:
    code = (
        "import sys; from headway.cli.main import app; app(['count', '--help'], standalone_mode=False); "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "headway.cli.count" in loaded
    assert not {"headway.cli.serve", "headway.gateway.app", "uvicorn", "genai_prices"} & set(loaded)
