"""Every program in examples/ is run, the way its first lines say."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

from docs.pages import ROOT
from docs.test_blocks import environment
from headway.testing.emulated import Emulator

EXAMPLES = ROOT / "examples"
FAST = "any/unlimited?ttft=0.01&speed=10000"
TESTED = {
    "make_job.py",
    "csv_to_job.py",
    "results_to_csv.py",
    "test_with_emulator.py",
    "capped_run.py",
    "sdk_sync.py",
    "sdk_async.py",
    "session_budget.py",
    "long_conversation.py",
}


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60, check=False
    )


def example(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call(folder, sys.executable, str(EXAMPLES / name), *arguments)


def with_sdk(
    emulator: Emulator, folder: Path, name: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    its = {"ANTHROPIC_BASE_URL": emulator.url, "ANTHROPIC_API_KEY": "any"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env=environment(folder) | its,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_every_example_is_tested_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == TESTED


def test_the_job_of_the_demo_has_its_lines_and_is_the_same_each_time(tmp_path: Path) -> None:
    first, again = example(tmp_path, "make_job.py"), example(tmp_path, "make_job.py")
    assert first.stdout == again.stdout
    lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert len({line["custom_id"] for line in lines}) == 1200


def test_a_table_becomes_a_job_becomes_a_table(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text('id,text\na,Lovely {soap}\nb,"No, thanks"\n', "utf-8")
    made = example(tmp_path, "csv_to_job.py", "reviews.csv", "Friendly? {text}", "--id", "id", "--most", "20")
    assert made.returncode == 0, made.stderr
    (tmp_path / "job.jsonl").write_text(made.stdout, "utf-8")
    ran = call(tmp_path, "headway", "run", "job.jsonl", "--emulate", FAST)
    assert ran.returncode == 0, ran.stderr
    table = example(tmp_path, "results_to_csv.py", "job.results.jsonl")
    rows = {row["custom_id"]: row for row in csv.DictReader(io.StringIO(table.stdout))}
    assert rows.keys() == {"a", "b"}
    assert all(row["answer"] and 0 < int(row["output_tokens"]) <= 20 for row in rows.values())


def test_errors_are_in_the_table_too(tmp_path: Path) -> None:
    line = {
        "custom_id": "a",
        "params": {"model": "no-such", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]},
    }
    (tmp_path / "job.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    assert call(tmp_path, "headway", "run", "job.jsonl", "--keep-going", "--emulate", FAST).returncode == 1
    table = example(tmp_path, "results_to_csv.py", "job.results.jsonl")
    (row,) = csv.DictReader(io.StringIO(table.stdout))
    assert row["error"].startswith("invalid_request_error: ")


def test_a_capped_run_says_what_it_spent_and_that_the_cap_stopped_it(tmp_path: Path) -> None:
    prompts = [
        {"prompt": f"Say {number}.", "model": "claude-opus-4-8", "max_tokens": 200} for number in range(20)
    ]
    (tmp_path / "job.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts), "utf-8")
    ran = example(tmp_path, "capped_run.py", "job.jsonl", "0.02", "--emulate", FAST)
    assert ran.returncode == 3, ran.stderr
    spent = float(ran.stdout.partition("$")[2].partition(" ")[0])
    assert 0.0 < spent <= 0.02
    assert "stopped: the budget is used up" in ran.stdout


def test_tests_with_the_emulator_pass(tmp_path: Path) -> None:
    ran = call(
        tmp_path,
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(EXAMPLES / "test_with_emulator.py"),
    )
    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout


def test_a_conversation_is_answered_and_counted_as_the_provider_counts_it(tmp_path: Path) -> None:
    with Emulator(FAST) as emulator:
        said = with_sdk(emulator, tmp_path, "sdk_sync.py", "What is it?", "And shorter?")
        books = emulator.stats()
    tokens = books["tokens"]
    assert books["completed"] == 2
    assert len(said.stdout.splitlines()) >= 2
    counted = f"{tokens['input_tokens']:,} tokens in, {tokens['output_tokens']:,} out"
    assert said.stderr.startswith(f"conversation: 2 calls, {counted}, $")


def test_64_tasks_at_once_are_answered_without_a_429(tmp_path: Path) -> None:
    with Emulator("any/unlimited?requests=1800&burst=1s&ttft=0.01&speed=10000") as emulator:
        said = with_sdk(emulator, tmp_path, "sdk_async.py")
        books = emulator.stats()
    assert said.stdout.startswith("64 answers, ")
    assert "0 refused (429)" in said.stdout
    assert (books["completed"], books["rate_limited"]) == (64, {})


def test_each_user_stays_within_the_budget_and_uses_most_of_it(tmp_path: Path) -> None:
    with Emulator(f"{FAST}&output_mean=100&output_sigma=0") as emulator:
        said = with_sdk(emulator, tmp_path, "session_budget.py", "0.02usd")
        spent_usd = emulator.stats()["spent_usd"]
    spent = [float(line.split("$")[1].split()[0]) for line in said.stdout.splitlines()]
    assert len(spent) == 3
    assert all(0.012 < each <= 0.02 for each in spent), spent
    assert abs(sum(spent) - spent_usd) < 0.001


def test_a_conversation_that_never_ends_is_fitted_and_reads_the_cache(tmp_path: Path) -> None:
    with Emulator(FAST) as emulator:
        said = with_sdk(emulator, tmp_path, "long_conversation.py", "30").stdout
    assert "of 59 messages" in said
    read, paid = (
        int(number.replace(",", "")) for number in re.findall(r"([\d,]+) (?:tokens read|paid)", said)
    )
    assert read > paid
