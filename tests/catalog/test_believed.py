"""Whose word counts for a limit, where more than one says something."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from catalog.writing import NOW
from headway.catalog.believed import Believed, Word
from headway.catalog.organisation import Group, keep
from headway.config import DEFAULT_BASE_URL, Config
from headway.core.call import Unit
from planner.replays import OPUS, OPUS_POOL, a_ledger

IN_FILE = {"tier": "headway.toml:1", "limits": "headway.toml:2"}


def remember(path: Path, kind: str, value: object) -> None:
    with closing(sqlite3.connect(path)) as db:
        key = f"{kind}/{DEFAULT_BASE_URL}/{OPUS_POOL}"
        db.execute("INSERT INTO learnt VALUES (?, ?, 1)", (key, json.dumps(value)))
        db.commit()


def requests(path: Path, config: Config) -> tuple[Word, float]:
    found = Believed(config, path, NOW).of(OPUS_POOL)
    return found.word, next((each.amount for each in found.limits if each.unit is Unit.REQUESTS), 0.0)


def test_a_tier_in_settings_gives_way_to_refusals_headers_the_organisation_numbers_and_the_command(
    tmp_path: Path,
) -> None:
    path = a_ledger(tmp_path / "l", [{"at": 1.0}])
    tier = Config(tier="tier-2", sources=IN_FILE)
    assert requests(path, Config()) == (Word.NOBODY, 0.0)
    assert requests(path, tier) == (Word.TIER, 1_000.0)
    lesson = {"requests": {"amount": 77.0, "capacity": 3.0, "overstated": 1.0, "at_ns": NOW}}
    remember(path, "bucket", lesson)
    assert requests(path, tier) == (Word.REFUSALS, 77.0)
    remember(path, "limits", {"at_ns": NOW, "limits": {"requests": [900, 60]}})
    assert requests(path, tier) == (Word.HEADERS, 900.0)
    keep(path, DEFAULT_BASE_URL, (Group("model_group", "", (OPUS,), {"requests_per_minute": 333}),), NOW)
    assert requests(path, tier) == (Word.ORGANISATION, 333.0)
    assert requests(path, Config(tier="tier-2", limits="requests=7", sources=IN_FILE)) == (Word.SETTINGS, 7.0)
    assert requests(path, Config(tier="tier-2", sources={"tier": "--tier"})) == (Word.COMMAND, 1_000.0)
