"""`headway insights` as it looks, and as scripts read it."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from headway.cli.insights import insights
from headway.cli.insightsview import picture
from headway.errors import InputError
from headway.insights.rules import RULES
from headway.insights.study import study
from headway.insights.walk import Window
from insights.plants import PLANTS
from insights.week import clean, write

app = typer.Typer()
app.command()(insights)
run = CliRunner().invoke
ALL = Window(0, 2**62)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with every mistake in it."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite3"
    write(path, [call for plant in PLANTS for call in plant.calls(random.Random(plant.name))])
    return path


def drawn(path: Path, width: int, top: int = 99, colour: str | None = None) -> str:
    page = StringIO()
    console = Console(file=page, width=width, color_system=colour, force_terminal=colour is not None)  # type: ignore[arg-type]  # a name of one
    console.print(picture(study(path, ALL), width, top))
    return page.getvalue()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_every_finding_fits_and_says_money_evidence_and_change(ledger: Path, width: int) -> None:
    page = drawn(ledger, width)
    assert max(map(len, page.splitlines())) <= width
    flat = " ".join(page.split())
    for finding in study(ledger, ALL).findings:
        found = finding.found
        for text in (found.title, *found.evidence, found.change, f"({found.rule}, {found.certainty}"):
            assert " ".join(text.split()) in flat


def test_a_wide_terminal_names_an_attempt_to_look_at(ledger: Path) -> None:
    assert "for example 2026-11-" in drawn(ledger, 140)
    assert "for example" not in drawn(ledger, 80)


def test_the_dearest_comes_first_and_the_rest_is_counted(ledger: Path) -> None:
    page = drawn(ledger, 80, top=2)
    whole = len(study(ledger, ALL).findings)
    assert f"{whole - 2} more: --top {whole}." in page
    assert "\n 3 " not in page


def test_json_has_exact_integers_and_nothing_twice(ledger: Path) -> None:
    done = run(app, ["--ledger", str(ledger), "--since", "all", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    counted = sum(finding["counted_nanousd"] for finding in said["findings"])
    assert said["saving_nanousd"] == counted
    assert said["saving_nanousd"] < said["spent_nanousd"]
    for finding in said["findings"]:
        assert isinstance(finding["saving_nanousd"], int)
        assert finding["sample"] >= finding["least_sample"] > 0
        assert finding["counted_nanousd"] <= max(finding["saving_nanousd"], 0)
        assert finding["examples"]
        assert set(finding["examples"][0]) == {"attempt_id", "at_ns", "tenant", "session", "job", "label"}


def test_a_pipe_gets_no_colours(ledger: Path) -> None:
    done = run(app, ["--ledger", str(ledger), "--since", "all"])
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "\x1b[" in drawn(ledger, 80, colour="standard")


def test_nothing_to_change_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    write(path, clean(0, 0.1))
    assert drawn(path, 80).startswith("Nothing to change in ")
    done = run(app, ["--ledger", str(tmp_path / "none.sqlite3")])
    assert done.exit_code == 0
    assert "There is no ledger at" in " ".join(done.stdout.split())


def test_names_from_outside_do_not_drive_the_terminal(ledger: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(ledger)) as db, closing(sqlite3.connect(path)) as copy:
        db.backup(copy)
        copy.execute(
            "UPDATE attempts SET tenant = '[bold]' || char(27) || ']0;owned' || char(7) || '\nx', label = tenant"
        )
        copy.commit()
    page = drawn(path, 140)
    assert "\x1b" not in page
    assert "\x07" not in page
    assert "[bold]�]0;owned��x" in page


def test_a_rule_is_explained(ledger: Path) -> None:
    done = run(app, ["--explain", "batch"])
    assert done.exit_code == 0
    assert "half" in done.stdout
    every = run(app, ["--explain", "all"])
    assert all(f"{rule}\n" in every.stdout for rule in RULES)
    with pytest.raises(InputError, match="no rule 'botch'"):
        run(app, ["--explain", "botch"], catch_exceptions=False)


def test_rules_are_chosen_and_unknown_ones_refused(ledger: Path) -> None:
    only = json.loads(
        run(
            app,
            ["--ledger", str(ledger), "--since", "all", "--json", "--only", "batch", "--only", "cut-replies"],
        ).stdout
    )
    assert {finding["rule"] for finding in only["findings"]} == {"batch", "cut-replies"}
    with pytest.raises(InputError, match="no rule 'botch'"):
        run(app, ["--ledger", str(ledger), "--skip", "botch"], catch_exceptions=False)


def test_a_tenant_and_a_job_are_filters(ledger: Path) -> None:
    said = json.loads(
        run(app, ["--ledger", str(ledger), "--since", "all", "--json", "--tenant", "tutor"]).stdout
    )
    assert {finding["where"]["tenant"] for finding in said["findings"]} == {"tutor"}
    said = json.loads(
        run(app, ["--ledger", str(ledger), "--since", "all", "--json", "--job", "labels"]).stdout
    )
    assert [finding["rule"] for finding in said["findings"]] == ["batch"]
