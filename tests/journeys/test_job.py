"""A bulk job from its file to its results, as a process against an emulated provider."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from headway.testing.emulated import Emulator, spawn

from .conftest import FAST, KEY, Headway, request, results_of, stop, write_job


def test_every_line_gets_one_result_and_the_summary_agrees_with_the_providers_books(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}", prompt="word " * n) for n in range(60)])
    with Emulator(FAST) as provider:
        code, summary = headway.job(url=provider.url)
        books = provider.stats()
    assert code == 0
    found = results_of(headway.folder / "job.results.jsonl")
    assert found.keys() == {f"a{n}" for n in range(60)}
    assert all(result["type"] == "succeeded" for result in found.values())
    assert (summary["calls"], summary["succeeded"], summary["attempts"]) == (60, 60, 60)
    assert summary["tokens"]["input"] == books["tokens"]["input_tokens"]
    assert summary["tokens"]["output"] == books["tokens"]["output_tokens"]
    assert summary["cost_nanousd"] == round(books["spent_usd"] * 1e9)
    usage = [result["message"]["usage"] for result in found.values()]
    assert sum(one["output_tokens"] for one in usage) == books["tokens"]["output_tokens"]


def test_with_faults_every_line_succeeds_and_ledger_summary_and_books_agree(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(300)])
    with Emulator(FAST + "&overloaded=0.05&reset=0.01&cut=0.01&error=0.01&seed=3") as provider:
        code, summary = headway.job("--ledger", "ledger.sqlite3", "--retries", "12", url=provider.url)
        books = provider.stats()
    assert code == 0
    assert len(results_of(headway.folder / "job.results.jsonl")) == summary["succeeded"] == 300
    assert summary["attempts"] == books["requests"]
    assert summary["attempts"] > 300
    assert books["tokens_by_outcome"]["completed"]["output_tokens"] <= summary["tokens"]["output"]
    with closing(sqlite3.connect(headway.folder / "ledger.sqlite3")) as ledger:
        rows, cost, outputs, estimated = ledger.execute(
            "SELECT count(*), sum(cost_nanousd), sum(output_tokens), sum(estimated) FROM attempts"
        ).fetchone()
        known = ledger.execute("SELECT sum(output_tokens) FROM attempts WHERE NOT estimated").fetchone()[0]
    assert (rows, cost, outputs) == (
        summary["attempts"],
        summary["cost_nanousd"],
        summary["tokens"]["output"],
    )
    assert estimated == summary["estimated_attempts"] == books["broken"] + books["faults"].get("reset", 0)
    assert known == books["tokens_by_outcome"]["completed"]["output_tokens"]


def test_after_kill_9_at_any_moment_the_same_command_ends_with_exactly_one_result_each(
    headway: Headway,
) -> None:
    draw = random.Random(5)
    names = {f"a{n}" for n in range(250)}
    write_job(headway.folder / "job.jsonl", [request(name) for name in sorted(names)])
    output = headway.folder / "job.results.jsonl"
    in_flight = 0
    with spawn("any/unlimited?ttft=60ms&speed=2000&output_mean=40") as provider:
        for kill_at in sorted(draw.randint(5, 220) for _ in range(4)):
            with headway.start("run", "job.jsonl", "--concurrency", "20", url=provider.url) as process:
                while process.poll() is None and (
                    not output.exists() or output.read_bytes().count(b"\n") < kill_at
                ):
                    time.sleep(0.005)
                process.kill()
            in_flight += 20
            with output.open("ab") as file:  # what a power failure may leave behind
                file.write(draw.choice((b"", b'{"custom_id": "a1", "resu', b"\0" * 100, b"\0" * 50 + b"\n")))
        code, summary = headway.job(url=provider.url)
        books = provider.stats()
    assert code == 0
    assert results_of(output).keys() == names
    assert summary["already_done"] + summary["succeeded"] == 250
    assert books["admitted"] <= 250 + in_flight


def test_ctrl_c_stops_sending_lets_calls_in_flight_end_and_the_same_command_goes_on(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(80)])
    output = headway.folder / "job.results.jsonl"
    with Emulator("any/unlimited?ttft=300ms&ttft_sigma=0&speed=20000&output_mean=20") as provider:
        with headway.start("run", "job.jsonl", "--concurrency", "10", url=provider.url) as process:
            while not output.exists() or not output.read_bytes():
                time.sleep(0.005)
            code, err = stop(process, signal.SIGINT)
        books = provider.stats()
        assert code == 130
        assert "interrupted" in err
        assert "The same command goes on" in err
        assert books["admitted"] == books["completed"] == len(results_of(output)) < 80
        with headway.start("run", "job.jsonl", "--concurrency", "10", url=provider.url) as process:
            while output.read_bytes().count(b"\n") < books["admitted"] + 5:
                time.sleep(0.005)
            assert stop(process, signal.SIGTERM)[0] == 143
        assert headway.job(url=provider.url)[0] == 0
        assert provider.stats()["admitted"] == 80
    assert len(results_of(output)) == 80


def test_a_second_ctrl_c_breaks_calls_off_and_they_are_counted_by_estimate(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(50)])
    arguments = ("run", "job.jsonl", "--json", "--concurrency", "10", "--tier", "tier-4", "--ledger", "l.db")
    with (
        Emulator("any/unlimited?ttft=100&ttft_sigma=0") as provider,
        headway.start(*arguments, url=provider.url) as process,
    ):
        while provider.stats()["in_flight"] < 10:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "interrupted" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    summary = json.loads(out)
    assert (summary["attempts"], summary["estimated_attempts"], summary["left"]) == (10, 10, 50)
    assert summary["cost_nanousd"] > 0
    with closing(sqlite3.connect(headway.folder / "l.db")) as ledger:
        rows = ledger.execute(
            "SELECT outcome, estimated, count(*), sum(cost_nanousd) FROM attempts GROUP BY 1, 2"
        )
        assert rows.fetchall() == [("cancelled", 1, 10, summary["cost_nanousd"])]


def test_a_budget_is_never_exceeded_not_even_by_several_runs_of_the_same_command(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}", most=400) for n in range(200)])
    with Emulator("any/unlimited?ttft=5ms&speed=20000&output_share=0.5") as provider:
        code, summary = headway.job("--max-cost", "0.10usd", url=provider.url)
        assert code == 3
        assert "budget" in summary["stopped"]["reason"]
        assert 0 < summary["left"] < 200
        assert 0.05 < provider.stats()["spent_usd"] <= 0.10
        code, again = headway.job("--max-cost", "0.10usd", url=provider.url)
        assert code == 3
        assert again["cost_before_usd"] == pytest.approx(summary["cost_usd"])
        assert provider.stats()["spent_usd"] <= 0.10
        assert headway.job("--max-cost", "5usd", url=provider.url)[0] == 0
    assert len(results_of(headway.folder / "job.results.jsonl")) == 200


def test_a_budget_remembers_what_a_killed_run_spent(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}", most=400) for n in range(200)])
    output = headway.folder / "job.results.jsonl"
    with spawn("any/unlimited?ttft=5ms&speed=4000&output_share=0.5") as provider:
        arguments = ("run", "job.jsonl", "--max-cost", "0.2usd", "--concurrency", "2")
        with headway.start(*arguments, url=provider.url) as process:
            while not output.exists() or output.read_bytes().count(b"\n") < 10:
                time.sleep(0.005)
            process.kill()
        (headway.folder / "job.results.jsonl.headway.json").unlink()  # the results alone say it, too
        code, summary = headway.job("--max-cost", "0.2usd", url=provider.url)
        assert code == 3
        assert summary["cost_before_usd"] >= 10 * 200 * 25e-6
        assert provider.stats()["spent_usd"] <= 0.2 + 2 * 400 * 25e-6  # two calls in flight at the kill


def test_a_shared_prefix_is_written_once_and_read_by_all_the_rest(headway: Headway) -> None:
    system = [{"type": "text", "text": "rule " * 6000, "cache_control": {"type": "ephemeral"}}]
    write_job(
        headway.folder / "job.jsonl", [request(f"a{n}", prompt=f"Note {n}", system=system) for n in range(40)]
    )
    with Emulator("claude-opus-4/tier-4?ttft=150ms&ttft_sigma=0&speed=5000&output_mean=20") as provider:
        code, summary = headway.job("--tier", "tier-4", url=provider.url)
        books = provider.stats()
    assert code == 0
    written = summary["tokens"]["cache_write_5m"]
    assert written > 4096
    assert summary["tokens"]["cache_read"] == 39 * written
    assert books["tokens"]["cache_read_input_tokens"] == 39 * written
    assert summary["elapsed_s"] < 4


@pytest.mark.parametrize("limit", [3000, 20_000])
def test_a_disk_that_is_full_loses_nothing(headway: Headway, limit: int) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(100)])
    output = headway.folder / "job.results.jsonl"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with Emulator(FAST) as provider:
        code, summary = headway.job(url=provider.url, preexec_fn=small_files)
        assert code == 5
        assert "cannot be written" in summary["stopped"]["reason"]
        before = results_of(output)
        assert 0 < len(before) < 100
        saved = list(headway.folder.glob("*.unsaved-*"))
        rescued = {name for path in saved for name in results_of(path)}
        assert len(before) + len(rescued) == provider.stats()["completed"]
        for path in saved:
            assert str(path) in summary["stopped"]["hint"]
            with output.open("ab") as file:
                file.write(path.read_bytes())
        assert headway.job(url=provider.url)[0] == 0
        assert provider.stats()["completed"] == 100
    assert len(results_of(output)) == 100


def test_two_processes_on_one_output_do_not_mix(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(20)])
    (headway.folder / "link.jsonl").symlink_to("job.results.jsonl")
    with (
        Emulator("any/unlimited?ttft=100&ttft_sigma=0") as provider,
        headway.start("run", "job.jsonl", url=provider.url) as first,
    ):
        while not provider.stats()["in_flight"]:
            time.sleep(0.01)
        for place in ("job.results.jsonl", "link.jsonl"):
            code, _, err = headway.run("run", "job.jsonl", "-o", place, url=provider.url)
            assert code == 5
            assert "another headway is writing" in err
        first.kill()


def test_a_file_without_readers_of_its_progress_is_run_all_the_same(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(20)])
    read, write = os.pipe()
    os.close(read)
    with Emulator(FAST) as provider:
        process = headway.start("run", "job.jsonl", url=provider.url, stderr=write)
        os.close(write)
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
    assert len(results_of(headway.folder / "job.results.jsonl")) == 20


def test_results_go_to_standard_output_as_they_finish_and_a_broken_pipe_ends_the_job_in_good_order(
    headway: Headway,
) -> None:
    lines = "".join(json.dumps(request(f"a{n}")) + "\n" for n in range(300))
    with Emulator(FAST) as provider:
        code, out, _ = headway.run("run", "-", url=provider.url, text=lines)
        assert code == 0
        assert {json.loads(line)["custom_id"] for line in out.splitlines()} == {f"a{n}" for n in range(300)}
        provider.reset()
        write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(300)])
        with headway.start("run", "job.jsonl", "-o", "-", "--concurrency", "4", url=provider.url) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr is not None
            err = process.stderr.read()
            process.wait(30)
        assert process.returncode == 141
        assert "standard output cannot be written" in err
        assert "Traceback" not in err
        assert provider.stats()["admitted"] < 300
    assert list(headway.folder.iterdir()) == [headway.folder / "job.jsonl"]


def test_the_key_is_in_no_output_file_or_process_list(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(5)])
    with (
        Emulator("any/unlimited?ttft=1&key=another") as provider,
        headway.start("run", "job.jsonl", "--json", "--ledger", "l.db", url=provider.url) as process,
    ):
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "ANTHROPIC_API_KEY" in err + out
    written = b"".join(path.read_bytes() for path in headway.folder.iterdir())
    for place in (command, out.encode(), err.encode(), written):
        assert KEY.encode() not in place
        assert KEY.removeprefix("sk-ant-").encode() not in place


def test_nothing_is_sent_twice_within_one_run_and_connections_stay_few(headway: Headway) -> None:
    write_job(
        headway.folder / "job.jsonl", [request(f"a{n}", metadata={"user_id": f"a{n}"}) for n in range(80)]
    )
    with Emulator(FAST) as provider:
        assert headway.job("--concurrency", "3", url=provider.url)[0] == 0
        books = provider.stats()
    assert books["requests"] == books["completed"] == 80
    assert books["max_in_flight"] <= 3


def test_the_process_ends_when_its_emulator_is_built_in(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(5)])
    code, summary = headway.job("--emulate", FAST)
    assert code == 0
    assert summary["succeeded"] == 5
    left = subprocess.run(["pgrep", "-f", FAST.replace("?", "[?]")], capture_output=True, text=True).stdout
    assert left == ""
