"""Know before, know after: each command on the ledger of a real job, and on a gateway's day of recorded traffic."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headway.testing.emulated import Emulator

from .conftest import Headway, request, write_job

ROOT = Path(__file__).resolve().parents[2]
PROFILE = "claude-opus-4/tier-4?time_scale=20&output_mean=60&output_sigma=0.6"
LINES = 400
LONG = (
    "A standing instruction that every line of the job repeats, word for word. " * 400
)  # far beyond what is too short to be cached


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Headway, dict[str, Any]]:
    """A folder with a job that ran to its end, its ledger, and the summary."""
    headway = Headway(tmp_path_factory.mktemp("know"))
    headway.environment["HEADWAY_LEDGER"] = str(headway.folder / "ledger.sqlite3")
    lines = [
        request(f"a{n}", prompt=f"Word {n}. " * (n % 7 + 1), most=300, system=LONG) for n in range(LINES)
    ]
    write_job(headway.folder / "job.jsonl", lines)
    with Emulator(PROFILE) as provider:
        code, summary = headway.job(url=provider.url)
    assert code == 0
    return headway, summary


def told(headway: Headway, *arguments: str, code: int = 0) -> Any:
    """What a command says to machines."""
    returned, out, err = headway.run(*arguments, "--json")
    assert returned == code, err
    return json.loads(out)


def test_what_was_counted_before_is_what_was_used(done: tuple[Headway, dict[str, Any]]) -> None:
    headway, summary = done
    counted = told(headway, "count", "job.jsonl")
    assert counted["lines"] == LINES
    assert (
        abs(counted["tokens"]["tokens"] / summary["tokens"]["input"] - 1.0) < 0.25
    )  # by a tokenizer of the emulator's own


def test_a_plan_from_what_was_learnt_meets_the_run(done: tuple[Headway, dict[str, Any]]) -> None:
    headway, summary = done
    plan = told(headway, "plan", "job.jsonl", "--tier", "tier-2")
    cost = plan["cost_nanousd"]
    assert cost["p10"] * 0.97 <= summary["cost_nanousd"] <= cost["p90"] * 1.03
    assert abs(cost["p50"] / summary["cost_nanousd"] - 1.0) < 0.05


def test_reports_add_up_to_the_summary(done: tuple[Headway, dict[str, Any]]) -> None:
    headway, summary = done
    for by in ("model", "model,day", "job,status", "class,hour"):
        report = told(headway, "usage", "--by", by, "--since", "all")
        assert report["total"]["cost_nanousd"] == summary["cost_nanousd"]
        assert report["total"]["attempts"] == summary["attempts"]
        assert sum(line["output_tokens"] for line in report["lines"]) == summary["tokens"]["output"]


def test_an_export_that_agrees_is_found_to_agree(done: tuple[Headway, dict[str, Any]]) -> None:
    headway, summary = done
    day = datetime.now(UTC).date()
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens"))
    rows.writerow((day, "claude-opus-4-5", summary["tokens"]["input"], summary["tokens"]["output"]))
    rows.writerow((day - timedelta(days=1), "claude-opus-4-5", 0, 0))
    (headway.folder / "usage.csv").write_text(table.getvalue())
    assert told(headway, "reconcile", "usage.csv")["agrees"] is True


def test_insights_see_the_instruction_that_is_paid_in_full_each_time(
    done: tuple[Headway, dict[str, Any]],
) -> None:
    headway, summary = done
    found = told(headway, "insights", "--since", "all")
    findings = {finding["rule"]: finding for finding in found["findings"]}
    assert findings["uncached-prefix"]["sample"] >= LINES - 1  # the first has to write it
    assert 0.5 < findings["uncached-prefix"]["saving_nanousd"] / summary["cost_nanousd"] < 0.9
    assert LONG[:40] not in json.dumps(found)


def test_models_show_what_the_calls_measured(done: tuple[Headway, dict[str, Any]]) -> None:
    headway, _ = done
    models = told(headway, "models")
    (measured,) = (model["measured"] for model in models["models"] if model["model"] == "claude-opus-4-5")
    assert measured["calls"] == LINES


def test_the_ledger_replays_without_waiting_under_a_wider_limit(done: tuple[Headway, dict[str, Any]]) -> None:
    headway, _ = done
    replay = told(headway, "plan", "--from-ledger", "7d", "--tier", "tier-2", "--what-if", "tier=scale")
    assert replay["baseline"]["calls"] == LINES
    (wider,) = replay["what_ifs"]
    assert wider["waits"]["waited"] < replay["baseline"]["waits"]["waited"]


def test_every_command_is_for_eyes_too(done: tuple[Headway, dict[str, Any]]) -> None:
    headway, _ = done
    for columns in ("80", "140"):
        headway.environment["COLUMNS"] = columns
        for command in (
            ("count", "job.jsonl"),
            ("plan", "job.jsonl"),
            ("plan", "--from-ledger", "7d"),
            ("models",),
            ("models", "claude-opus-4"),
            ("usage", "--by", "job,day"),
            ("insights",),
        ):
            code, out, err = headway.run(*command)
            assert code == 0, err
            assert max(map(len, out.splitlines())) <= int(columns), command
    headway.environment["COLUMNS"] = "200"


def test_a_gateways_day_of_recorded_traffic_is_understood(headway: Headway) -> None:
    if not (ROOT.parent / "shared" / "data").exists():
        pytest.skip("the recorded traffic (../shared/data) is not there")
    ledger = headway.folder / "day.sqlite3"
    script = [sys.executable, str(ROOT / "benchmarks" / "gateway_day.py"), str(ledger), "--share", "0.05"]
    day = datetime.now(UTC).date() - timedelta(days=1)
    subprocess.run([*script, "--day", str(day)], check=True, capture_output=True, timeout=90)
    headway.environment["HEADWAY_LEDGER"] = str(ledger)
    report = told(headway, "usage", "--by", "tenant,hour", "--since", "all")
    assert report["total"]["attempts"] > 4_000
    assert told(headway, "insights", "--since", "all")["attempts"] == report["total"]["attempts"]
    assert told(headway, "plan", "--from-ledger", "7d", "--tier", "tier-2")["baseline"]["calls"] > 4_000
    code, out, err = headway.run("plan", "--from-ledger", "7d", "--tier", "tier-2")
    assert code == 0, err
    assert "chat-eu" in out
