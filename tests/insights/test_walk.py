"""Ledgers as they may be: older, odd, filled by others."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from headway.insights.study import study
from headway.insights.walk import Window
from insights.plants import PLANTS
from insights.week import Made, clean, write

ALL = Window(0, 2**62)
OLD = ("max_output_tokens", "waited_for", "stop_reason", "fingerprint", "cacheable_tokens")


def planted(*names: str) -> list[Made]:
    return [
        call for plant in PLANTS if plant.name in names for call in plant.calls(random.Random(plant.name))
    ]


def rules_in(path: Path) -> set[str]:
    return {finding.found.rule for finding in study(path, ALL).findings}


def test_a_ledger_of_the_first_version_is_read_with_what_it_has(tmp_path: Path) -> None:
    new, old = tmp_path / "new.sqlite3", tmp_path / "old.sqlite3"
    write(new, clean(0) + planted("never read", "history", "bulk", "impatient", "failing", "dies early"))
    first = (files("headway.ledger") / "schema" / "0001_attempts.sql").read_text("utf-8")
    with closing(sqlite3.connect(old)) as db:
        db.executescript(first)
        db.execute("PRAGMA user_version = 1")
        db.execute(f"PRAGMA application_id = {0x48647779}")
        columns = ", ".join(row[1] for row in db.execute("PRAGMA table_info(attempts)"))
        db.execute("ATTACH ? AS new", (str(new),))
        db.execute(f"INSERT INTO attempts ({columns}) SELECT {columns} FROM new.attempts")
        db.commit()
    expected = {
        "unread-cache",
        "growing-history",
        "batch",
        "paid-failures",
        "always-failing",
        "cache-lifetime",
    }
    assert rules_in(old) == expected == rules_in(new)


def test_without_fingerprints_a_cache_that_is_written_anew_each_turn_is_still_found(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    write(path, clean(0) + planted("time in front"))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE attempts SET fingerprint = NULL")
        db.commit()
    (finding,) = study(path, ALL).findings
    assert finding.found.rule == "growing-history"
    assert finding.found.certainty == "likely"
    assert "Something near the beginning changes" in finding.found.change


def test_the_same_length_written_again_and_again_hints_at_a_changing_prompt(tmp_path: Path) -> None:
    """Rows as a script would insert them: one session, equal writes, no reads."""
    path = tmp_path / "ledger.sqlite3"
    calls = [
        Made(
            60.0 * n,
            "bot",
            "claude-opus-4-8",
            (("messages", f"m{n}", 6000),),
            100,
            (-1,),
            session="s",
            fingerprinted=False,
        )
        for n in range(60)
    ]
    write(path, calls)
    (finding,) = study(path, ALL).findings
    assert finding.found.rule == "unread-cache"
    assert finding.saving.nanousd == 59 * 6000 * 1250  # a quarter of $5 per million, for each token
    assert finding.found.numbers["same_length_again"] == 59
    assert finding.found.numbers["if_the_same_nanousd"] == 59 * 6000 * 5750


def test_damaged_fingerprints_and_unknown_models_are_no_findings_and_no_errors(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    write(path, clean(0) + planted("system uncached"))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE attempts SET fingerprint = x'00112233', queued_ms = NULL, total_ms = NULL")
        db.execute(
            "UPDATE attempts SET model_served = 'nobody-knows-7', cost_nanousd = NULL WHERE tenant = 'coding'"
        )
        db.commit()
    found = study(path, ALL)
    assert found.findings == ()
    assert found.unpriced > 500


def test_a_learnt_limit_is_the_one_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    write(path, planted("bound"))
    lesson = '{"input_tokens": {"amount": 12500.0, "capacity": 12500.0, "overstated": 0.0, "at_ns": 1}, "requests": "odd"}'
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO learnt VALUES ('bucket/https://x/anthropic/haiku-5.5', ?, 1)", (lesson,))
        db.execute("INSERT INTO learnt VALUES ('bucket/https://x/anthropic/opus-4', 'no json', 1)")
        db.commit()
    (finding,) = study(path, ALL).findings
    assert "the limit of 12.5k input tokens a minute binds" in finding.found.title
    assert finding.found.numbers["limit_a_minute"] == 12500


def test_all_of_time_is_walked_in_order_of_time_whatever_the_order_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    write(path, planted("talk uncached"))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE attempts SET id = -id")
        db.commit()
    shuffled = study(path, ALL)
    write(tmp_path / "plain.sqlite3", planted("talk uncached"))
    assert shuffled.saving_nanousd == study(tmp_path / "plain.sqlite3", ALL).saving_nanousd > 0
