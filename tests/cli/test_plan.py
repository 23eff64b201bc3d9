"""`headway plan` as it looks, and as scripts read it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from headway.cli.plan import plan
from headway.cli.planview import money, time_of
from headway.errors import ConfigError, HeadwayError, InputError, JobFileError

app = typer.Typer()
app.command()(plan)
LIMITS = ("--limits", "requests=600,input_tokens=600k,output_tokens=60k", "--ledger", "none")


def line(number: int, **more: Any) -> str:
    messages = [{"role": "user", "content": f"Note {number}: " + "word " * (20 + number % 50)}]
    params = {"model": "claude-opus-4-5", "max_tokens": 600, "messages": messages} | more
    return json.dumps({"custom_id": f"n{number}", "params": params}) + "\n"


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(map(line, range(300))), "utf-8")
    return path


def said(*arguments: str, width: int = 80) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": str(width)})


def error_of(*arguments: str) -> HeadwayError:
    found = said(*arguments).exception
    assert isinstance(found, HeadwayError), found
    return found


def values(*arguments: str) -> dict[str, Any]:
    result = said(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize("width", [80, 140])
def test_the_answer_comes_first_and_every_line_fits(job: Path, width: int) -> None:
    result = said(str(job), *LIMITS, "--output-tokens", "300", width=width)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    sentence = " ".join(lines[1:3])
    assert re.match(
        r"done in .+ \(.+ to .+\), \$.+ \(\$.+ to \$.+\); output tokens bind \d+% of +the +time", sentence
    )
    assert all(len(each) <= width for each in lines), max(lines, key=len)
    assert "Message Batches" in result.output
    assert "assumed  speed" in result.output


def test_machines_get_whole_nanodollars_and_ordered_percentiles(job: Path) -> None:
    found = values(str(job), *LIMITS, "--output-tokens", "300")
    assert found["lines"] == 300
    assert found["seconds"]["p10"] <= found["seconds"]["p50"] <= found["seconds"]["p90"]
    assert all(isinstance(cost, int) for cost in found["cost_nanousd"].values())
    assert found["rate_limited"] == 0
    assert 0.5 < sum(each["share"] for each in found["waits"]) <= 1
    datetime.fromisoformat(found["done_at"])
    assert {each["unit"]: each["needed"] for each in found["limits"]}["requests"] == 300


def test_a_plan_is_the_same_each_time(job: Path) -> None:
    first, again = (values(str(job), *LIMITS) for _ in range(2))
    assert first | {"done_at": ""} == again | {"done_at": ""}


def test_with_stated_lengths_the_range_is_narrow_and_without_it_is_wide(job: Path) -> None:
    def width(*more: str) -> float:
        cost = values(str(job), *LIMITS, *more)["cost_nanousd"]
        return float(cost["p90"] / cost["p10"])

    assert width("--output-tokens", "200") < 1.3 < 2.0 < width()


def test_few_at_once_take_longer(job: Path) -> None:
    fast, slow = (values(str(job), *LIMITS, *more)["seconds"]["p50"] for more in ((), ("--concurrency", "2")))
    assert slow > 2 * fast
    assert values(str(job), *LIMITS, "--concurrency", "2")["in_flight"]["most"] == 2


def test_a_stated_speed_is_believed(job: Path) -> None:
    slow, fast = (
        values(str(job), *LIMITS, "--concurrency", "2", "--speed", speed, "--first-token", "100ms")[
            "seconds"
        ]["p50"]
        for speed in ("20", "200")
    )
    assert slow > 5 * fast


def test_bad_lines_are_listed_in_the_words_of_run_and_left_out(job: Path) -> None:
    with job.open("a", encoding="utf-8") as file:
        file.write('{"custom_id": "x"}\n' + line(5) + line(999, max_tokens=-4))
    found = values(str(job), *LIMITS)
    assert found["lines"] == 300
    assert "3 lines cannot be run" in found["bad_lines"][0]
    assert any("the same custom_id as line 6" in each for each in found["bad_lines"])
    assert "cannot be run" in said(str(job), *LIMITS).output


def test_a_job_without_a_good_line_is_an_error_that_says_why(tmp_path: Path) -> None:
    empty, bad = tmp_path / "empty.jsonl", tmp_path / "bad.jsonl"
    empty.write_text("\n\n", "utf-8")
    bad.write_text("nonsense\n", "utf-8")
    assert "no lines" in str(error_of(str(empty), *LIMITS))
    found = error_of(str(bad), *LIMITS)
    assert isinstance(found, JobFileError)
    assert "line 1: not a JSON object" in str(found)


def test_an_unknown_model_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    path.write_text(line(1, model="claude-opsu-4-5"), "utf-8")
    assert "did you mean claude-opus-4-5" in str(error_of(str(path), *LIMITS))
    found = values(str(path), *LIMITS, "--any-model")
    assert found["cost_nanousd"] is None
    assert found["unpriced_models"] == ["claude-opsu-4-5"]
    assert (
        "no price is known for claude-opsu-4-5" in said(str(path), *LIMITS, "--any-model", width=200).output
    )


def test_the_lowest_published_limits_are_said_to_be_assumed(job: Path) -> None:
    found = values(str(job), "--ledger", "none")
    assert any("lowest that are published" in each for each in found["assumed"])


def test_lines_that_come_one_by_one(job: Path) -> None:
    found = values(str(job), *LIMITS, "--output-tokens", "200", "--at", "30/min")
    assert found["arrivals"]["comes_for_s"] == 600
    assert found["arrivals"]["full_at_s"] is None
    assert found["what_ifs"] == []
    assert (
        "the quota suffices"
        in said(str(job), *LIMITS, "--output-tokens", "200", "--at", "30/min", width=140).output
    )
    too_fast = said(str(job), *LIMITS, "--output-tokens", "200", "--at", "1200/min", width=140).output
    assert "the quota does not suffice from" in too_fast


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ((), InputError, "job file"),
        (("job.jsonl", "--from-ledger", "7d"), InputError, "not both"),
        (("job.jsonl", "--what-if", "load=2x"), InputError, "--from-ledger"),
        (("--from-ledger", "7d", "--model", "claude-haiku-4-5"), InputError, "--model goes with a job file"),
        (("--from-ledger", "7d", "--output-tokens", "5"), InputError, "--output-tokens goes with a job file"),
        (("absent.jsonl",), InputError, "no such file"),
        (("job.jsonl", "--at", "often"), ConfigError, "--at"),
        (("job.jsonl", "--first-token", "soon"), ConfigError, "--first-token"),
        (("job.jsonl", "--output-tokens", "some"), InputError, "--output-tokens"),
        (("job.jsonl", "--tier", "tier-99"), ConfigError, "tier-99"),
        (("job.jsonl", "--since", "once"), InputError, "--since"),
    ],
)
def test_what_cannot_be_understood_is_said_with_a_way_out(
    arguments: tuple[str, ...],
    kind: type[HeadwayError],
    says: str,
    job: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(job.parent)
    job.rename("job.jsonl")
    found = error_of(*arguments)
    assert isinstance(found, kind)
    assert says in f"{found} {found.hint}"


def test_a_job_from_standard_input_and_names_that_could_drive_a_terminal(tmp_path: Path) -> None:
    evil = line(1) + '{"custom_id": "\\u001b[31mred", "params": {}}\n'
    command = [sys.executable, "-c", "from headway.cli.main import run; run()", "plan", "-", *LIMITS]
    done = subprocess.run(
        command, input=evil.encode(), cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    assert b"cannot be run" in done.stdout


def test_a_page_to_keep_says_what_the_terminal_says(job: Path, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    assert said(str(job), *LIMITS, "--html", str(page)).exit_code == 0
    text = page.read_text("utf-8")
    assert "Message Batches" in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (4.24, "4.2 s"),
        (48.2, "48 s"),
        (250, "4.2 min"),
        (41 * 60, "41 min"),
        (3 * 3600 + 20 * 60, "3 h 20 min"),
        (24 * 3600, "24 h"),
        (52 * 3600, "2 d 4 h"),
    ],
)
def test_times_are_written_in_the_largest_units(seconds: float, text: str) -> None:
    assert time_of(seconds) == text


@pytest.mark.parametrize(
    ("nanousd", "text"), [(0, "$0.0000"), (12_400_000_000, "$12.40"), (1_234_500_000_000, "$1,234")]
)
def test_money_has_cents_where_they_matter(nanousd: int, text: str) -> None:
    assert money(nanousd) == text
