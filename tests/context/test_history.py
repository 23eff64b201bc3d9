"""The ledger says which model was asked last and how long its replies are; without one there is just nothing to say."""

from __future__ import annotations

from pathlib import Path

from headway.context.history import last_model, usual_output
from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.price import Prices
from headway.ledger.sqlite import SqliteLedger


def ledger(path: Path, replies: list[tuple[str, int]]) -> Path:
    kept = SqliteLedger(path, prices=Prices())
    for number, (model, output) in enumerate(replies):
        name = f"a{number}"
        kept.open(
            OpenEntry(
                name,
                name,
                1,
                number + 1,
                "anthropic",
                "p",
                model,
                "t",
                Class.STANDARD,
                "",
                "",
                "",
                1,
                1,
                0.0,
                False,
            )
        )
        usage = Usage(input_tokens=1, output_tokens=output, model=model)
        kept.close(Entry(name, "ok", 200, "", None, usage, False, None, 1.0))
    kept.flush(10.0)
    kept.stop()
    return path


def test_the_model_asked_last(tmp_path: Path) -> None:
    assert (
        last_model(ledger(tmp_path / "l.sqlite3", [("claude-opus-4", 5), ("claude-haiku-4-5", 5)]))
        == "claude-haiku-4-5"
    )


def test_the_mean_of_enough_replies(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.sqlite3", [("claude-opus-4", 100), ("claude-opus-4", 300)] * 10)
    assert usual_output(path, "claude-opus-4") == (200, 20)
    assert usual_output(path, "claude-haiku-4-5") is None


def test_a_ledger_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "no.sqlite3").write_text("no ledger")
    assert last_model(tmp_path / "no.sqlite3") is None
    assert usual_output(tmp_path / "missing.sqlite3", "claude-opus-4") is None
    assert not (tmp_path / "missing.sqlite3").exists()
