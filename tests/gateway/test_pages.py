"""The pages and deployments of the gateway: rows of the failure table name tests, and deployments flags, that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from headway.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/failures.md").read_text("utf-8")


def rows() -> list[str]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [line for line in lines if not line.startswith("| when |")]


def test_every_row_of_the_failure_table_names_a_test_that_is_there() -> None:
    assert len(rows()) > 40
    for row in rows():
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert named, row
        for path, name in named:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), name


@pytest.mark.parametrize("name", ["headway.service", "Containerfile"])
def test_what_is_to_be_deployed_calls_serve_with_flags_that_it_has(name: str) -> None:
    text = (ROOT / "deploy" / name).read_text("utf-8")
    command = next(
        line for line in text.splitlines() if line.startswith(("ExecStart=", "CMD ")) and "serve" in line
    )
    given = set(re.findall(r"--[a-z-]+", command))
    serve = typer.main.get_command(app).get_command(None, "serve")  # type: ignore[attr-defined]  # it is a group
    assert given
    assert given <= {flag for option in serve.params for flag in option.opts}


def test_variables_of_deployments_are_those_that_are_read() -> None:
    known = set(
        re.findall(r"`((?:HEADWAY|ANTHROPIC)_\w+)`", (ROOT / "docs/configuration.md").read_text("utf-8"))
    )
    for path in (ROOT / "deploy").iterdir():
        named = set(re.findall(r"\b(?:HEADWAY|ANTHROPIC)_[A-Z_]+", path.read_text("utf-8")))
        assert named <= known, path.name
