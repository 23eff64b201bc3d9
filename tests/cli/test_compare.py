"""`headway compare` as people start it, against a server that answers as the test says, or an emulated provider."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from docs.pages import ROOT
from headway.cli.compare import picture
from headway.testing.emulated import Emulator, spawn
from headway.workbench.comparison import Report
from headway.workbench.summary import summary
from headway.workbench.verdict import judge_variants
from journeys.conftest import FAST, Headway, Server, error, message, reply
from workbench.made import rows_of

SHEET = """
[defaults]
model = "claude-opus-4-5"
max_tokens = 50
prompt = "What is {question}?"

[[variant]]
name = "plain"

[[variant]]
name = "short"
system = "One number."
"""


@pytest.fixture
def headway(tmp_path: Path) -> Headway:
    write(tmp_path, SHEET, 12)
    return Headway(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(text_of: Callable[[dict[str, Any]], str], **more: Any) -> Server:
        def answer(_number: int, body: bytes) -> bytes:
            request = json.loads(body)
            return reply(message(text_of(request), model=request["model"], **more))

        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def write(folder: Path, sheet: str, count: int) -> None:
    (folder / "v.toml").write_text(sheet, "utf-8")
    lines = [
        json.dumps({"id": f"q{n}", "question": f"{n} + {n}", "answer": str(2 * n)}) + "\n"
        for n in range(count)
    ]
    (folder / "i.jsonl").write_text("".join(lines), "utf-8")


def compared(headway: Headway, *arguments: str, url: str = "", code: int = 0) -> dict[str, Any]:
    found, out, err = headway.run("compare", "v.toml", "i.jsonl", "--json", *arguments, url=url)
    assert found == code, err
    report: dict[str, Any] = json.loads(out)
    return report


def rows_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "v.results.jsonl").read_text().splitlines()]


def right(request: dict[str, Any]) -> str:
    first = re.search(r"(\d+) \+", str(request["messages"][-1]["content"]))
    return str(2 * int(first[1])) if first else "?"


def test_every_variant_is_asked_every_input_and_a_row_says_what_came(headway: Headway, serve: Any) -> None:
    write(headway.folder, SHEET + '[check]\nregex = "^{answer}$"\n', 12)
    server = serve(lambda request: right(request) if "system" in request else "a number")
    report = compared(headway, url=server.url)
    rows = rows_in(headway.folder)
    assert Counter((row["variant"], row["passed"]) for row in rows) == {
        ("plain", False): 12,
        ("short", True): 12,
    }
    assert {row["input"] for row in rows} == {f"q{n}" for n in range(12)}
    assert server.requests == 24
    assert report["verdict"]["choice"] == "short"
    assert [each["score"]["value"] for each in report["summaries"]] == [0.0, 1.0]


def test_the_cost_is_that_of_the_ledger_to_the_nanodollar(headway: Headway) -> None:
    ledger_file = str(headway.folder / "ledger.sqlite3")
    with Emulator(FAST + "&error=0.1") as provider:
        report = compared(headway, "--ledger", ledger_file, url=provider.url)
    with sqlite3.connect(headway.folder / "ledger.sqlite3") as ledger:
        (cost, jobs) = ledger.execute(
            "SELECT sum(cost_nanousd), group_concat(DISTINCT job) FROM attempts"
        ).fetchone()
        stored = " ".join(str(row) for row in ledger.execute("SELECT * FROM attempts"))
    ledger.close()
    assert sum(each["cost_nanousd"] for each in report["summaries"]) == cost
    assert jobs == "compare-v"
    assert "What is" not in stored


def test_what_was_asked_once_is_not_asked_again_and_a_new_wording_is_asked_alone(
    headway: Headway, serve: Any
) -> None:
    server = serve(lambda _request: "4")
    compared(headway, url=server.url)
    compared(headway, url=server.url)
    assert server.requests == 24
    write(headway.folder, SHEET.replace("One number.", "Only the number."), 12)
    compared(headway, url=server.url)
    assert server.requests == 36
    write(headway.folder, SHEET, 14)
    compared(headway, url=server.url)
    assert server.requests == 40
    assert len(rows_in(headway.folder)) == 28


def test_after_kill_9_the_same_command_goes_on_and_pays_at_most_for_what_was_in_flight(
    headway: Headway,
) -> None:
    write(headway.folder, SHEET, 100)
    replies = headway.folder / "v.results.replies.jsonl"
    headway.environment["HEADWAY_CONCURRENCY"] = "10"
    with spawn("any/unlimited?ttft=40ms&speed=5000&output_mean=20") as provider:
        for kill_at in (15, 60, 120):
            with headway.start("compare", "v.toml", "i.jsonl", url=provider.url) as process:
                while process.poll() is None and (
                    not replies.exists() or replies.read_bytes().count(b"\n") < kill_at
                ):
                    time.sleep(0.005)
                process.kill()
        report = compared(headway, url=provider.url)
        books = provider.stats()
    assert report["missing"] == 0
    assert Counter(row["variant"] for row in rows_in(headway.folder)) == {"plain": 100, "short": 100}
    assert len({row["id"] for row in rows_in(headway.folder)}) == 200
    assert books["admitted"] <= 200 + 3 * 10


def test_a_budget_stops_it_and_holds_over_all_runs(headway: Headway) -> None:
    write(headway.folder, SHEET, 100)
    with Emulator(FAST) as provider:
        report = compared(headway, "--max-cost", "0.05usd", url=provider.url, code=3)
        assert report["stopped"].startswith("the budget is used up")
        assert 0 < report["missing"] < 200
        again = compared(headway, "--max-cost", "0.05usd", url=provider.url, code=3)
        assert provider.stats()["spent_usd"] <= 0.05
        assert again["missing"] <= report["missing"]
        rest = compared(headway, "--max-cost", "5usd", url=provider.url)
        assert rest["missing"] == 0


def test_a_run_that_was_cut_short_has_whole_blocks_of_all_variants(headway: Headway) -> None:
    write(headway.folder, SHEET, 100)
    with Emulator(FAST) as provider:
        compared(headway, "--max-cost", "0.05usd", url=provider.url, code=3)
    by_input = Counter(row["input"] for row in rows_in(headway.folder))
    assert sum(count == 1 for count in by_input.values()) <= 5


def test_repeats_are_calls_of_their_own(headway: Headway, serve: Any) -> None:
    server = serve(lambda _request: "4")
    report = compared(headway, "--repeat", "3", url=server.url)
    assert server.requests == 72
    assert [each["calls"] for each in report["summaries"]] == [36, 36]


def judge_that(says: Callable[[str], str]) -> Callable[[dict[str, Any]], str]:
    def text_of(request: dict[str, Any]) -> str:
        text = str(request["messages"][-1]["content"])
        return says(text) if "<rubric>" in text else ("GOOD" if "system" in request else "BAD")

    return text_of


def test_a_judge_is_asked_once_for_each_output_and_its_cost_stands_apart(
    headway: Headway, serve: Any
) -> None:
    write(headway.folder, SHEET + '[judge]\nmodel = "claude-haiku-4-5"\nrubric = "It says GOOD."\n', 12)
    server = serve(judge_that(lambda text: "VERDICT: PASS" if "GOOD\n</answer" in text else "VERDICT: FAIL"))
    report = compared(headway, url=server.url)
    assert server.requests == 24 + 24
    assert [each["score"]["value"] for each in report["summaries"]] == [0.0, 1.0]
    assert report["judge_calls"] == 24
    assert report["judge_cost_nanousd"] == sum(row["judge_cost_nanousd"] for row in rows_in(headway.folder))
    assert report["judge_cost_nanousd"] == 24 * (10 * 1_000 + 5 * 5_000)
    assert sum(each["cost_nanousd"] for each in report["summaries"]) == 24 * (10 * 5_000 + 5 * 25_000)
    compared(headway, url=server.url)
    assert server.requests == 48


def test_a_pairwise_judge_that_always_takes_the_first_answer_is_shown_to_and_proves_nothing(
    headway: Headway, serve: Any
) -> None:
    write(
        headway.folder,
        SHEET + '[judge]\nmodel = "claude-haiku-4-5"\nrubric = "Right."\npairwise = true\n',
        60,
    )
    report = compared(headway, url=serve(judge_that(lambda _text: "VERDICT: 1")).url)
    assert report["judge_first"] == 1.0
    (other,) = report["verdict"]["others"]
    assert other["word"] == "cannot tell"


def test_a_pairwise_judge_that_sees_the_better_one_finds_it_wherever_it_stands(
    headway: Headway, serve: Any
) -> None:
    write(
        headway.folder,
        SHEET + '[judge]\nmodel = "claude-haiku-4-5"\nrubric = "Right."\npairwise = true\n',
        60,
    )

    def better(text: str) -> str:
        return f"VERDICT: {re.findall(r'-([12])>', text[: text.index('GOOD')])[-1]}"

    report = compared(headway, url=serve(judge_that(better)).url)
    (other,) = report["verdict"]["others"]
    assert (other["word"], other["difference"]["value"]) == ("better", 1.0)
    assert 0.3 < report["judge_first"] < 0.7


def test_what_fails_its_check_is_not_judged(headway: Headway, serve: Any) -> None:
    write(
        headway.folder,
        SHEET + '[check]\ncontains = "GOOD"\n[judge]\nmodel = "claude-haiku-4-5"\nrubric = "r"\n',
        12,
    )
    report = compared(headway, url=serve(judge_that(lambda _text: "VERDICT: FAIL")).url)
    assert report["judge_calls"] == 12
    assert [each["score"]["value"] for each in report["summaries"]] == [0.0, 0.0]


def test_calls_that_the_api_refuses_are_errors_and_do_not_pass(headway: Headway) -> None:
    write(headway.folder, SHEET + '[check]\nregex = "."\n', 3)

    def answer(_number: int, body: bytes) -> bytes:
        if b"system" in body:
            return error("invalid_request_error", "no such thing", "400 Bad Request")
        return reply(message())

    server = Server(answer)
    try:
        report = compared(headway, url=server.url, code=1)
        assert [each["errors"] for each in report["summaries"]] == [0, 3]
        assert report["summaries"][1]["score"]["value"] == 0.0
        compared(headway, url=server.url, code=1)
        assert server.requests == 6
        compared(headway, "--retry-errored", url=server.url, code=1)
        assert server.requests == 9
    finally:
        server.close()


def test_emulated_replies_are_said_to_be_and_are_not_taken_for_true_ones(
    headway: Headway, serve: Any
) -> None:
    code, out, err = headway.run("compare", "v.toml", "i.jsonl", "--emulate", FAST)
    assert code == 0, err
    assert "Emulated: replies are filler" in out
    server = serve(lambda _request: "4")
    compared(headway, url=server.url)
    assert server.requests == 24


def test_show_with_nothing_on_file_says_just_that(headway: Headway) -> None:
    code, out, err = headway.run("compare", "v.toml", "i.jsonl", "--show")
    assert (code, out, err) == (
        0,
        "There are no replies yet: 24 calls are to be made. Leave --show out.\n",
        "",
    )
    assert not (headway.folder / "v.results.jsonl").exists()


def test_show_sends_nothing_and_needs_no_key(headway: Headway, serve: Any) -> None:
    server = serve(lambda _request: "4")
    compared(headway, url=server.url)
    del headway.environment["ANTHROPIC_API_KEY"]
    report = compared(headway, "--show", "--repeat", "2")
    assert (report["calls"], report["missing"]) == (48, 24)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.toml", "i.jsonl"), "cannot read none.toml"),
        (("v.toml", "none.jsonl"), "no such file: none.jsonl"),
        (("v.toml", "i.jsonl", "--baseline", "other"), "no variant is called 'other'"),
        (("v.toml", "i.jsonl", "--judge", "claude-opus-4-5"), "[judge] has no rubric"),
        (("v.toml", "i.jsonl", "-o", "v.toml"), "v.toml holds something else"),
        (("v.toml", "i.jsonl", "--max-cost", "cheap"), "cannot use 'cheap'"),
        (("v.toml", "bad.jsonl"), "bad.jsonl, line 1: no field 'question', which variant 'plain' wants"),
        (("unknown.toml", "i.jsonl"), "unknown model 'claude-opus-9'; did you mean claude-opus-5?"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    headway: Headway, arguments: tuple[str, ...], said: str
) -> None:
    (headway.folder / "bad.jsonl").write_text('{"x": 1}\n')
    (headway.folder / "unknown.toml").write_text(SHEET.replace("claude-opus-4-5", "claude-opus-9"))
    code, out, err = headway.run("compare", *arguments)
    assert code == 2, err
    assert said in err
    assert out == ""


def test_no_key_is_said_before_anything_else(headway: Headway) -> None:
    del headway.environment["ANTHROPIC_API_KEY"]
    code, _, err = headway.run("compare", "v.toml", "i.jsonl")
    assert code == 2
    assert "no API key" in err


def report_of(count: int) -> Report:
    by_variant = {
        f"variant number {number}": rows_of(f"variant number {number}", [1.0] * 40, 1000 - number)
        for number in range(count)
    }
    return Report(
        calls=40 * count,
        missing=0,
        summaries=tuple(summary(name, rows, 0.95, scored=True) for name, rows in by_variant.items()),
        verdict=judge_variants(by_variant, "variant number 0", margin=0.05, confidence=0.95, scored=True),
        check="regex .\x1b[31m",
        judge_model="",
        judge_calls=0,
        judge_cost_nanousd=0,
        judge_first=None,
        emulated="",
    )


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_the_picture_fits_the_width_shows_every_variant_and_drives_no_terminal(
    width: int, count: int
) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), highlight=False)  # noqa: SIM115
    console.print(picture(report_of(count), width))
    console.file.close()
    text = console.export_text()
    assert all(len(line) <= width for line in text.splitlines())
    assert "\x1b[31m" not in text
    for number in range(count):
        assert f"variant number {number}"[:12] in text


def test_the_example_reads_well_and_runs(tmp_path: Path) -> None:
    headway = Headway(tmp_path)
    sheet, inputs = (str(ROOT / "examples" / name) for name in ("variants.toml", "tickets.jsonl"))
    code, out, _ = headway.run("lint", sheet, "--fail-on", "info")
    assert (code, out) == (0, "3 prompts, nothing found.\n")
    code, out, err = headway.run("compare", sheet, inputs, "--emulate", FAST, "--json")
    assert code == 0, err
    assert [each["calls"] for each in json.loads(out)["summaries"]] == [12, 12, 12]


def test_a_cached_variant_writes_its_beginning_once_and_reads_it_from_then_on(headway: Headway) -> None:
    policy = " ".join(
        f"Rule {number}: parcels of kind {number} come back within {number} days." for number in range(200)
    )
    sheet = SHEET.replace("One number.", policy).replace("claude-opus-4-5", "claude-opus-4-8")
    write(headway.folder, sheet + "cache = true\n", 12)
    with Emulator("any/unlimited?ttft=20ms&speed=5000&output_mean=20") as provider:
        compared(headway, url=provider.url)
    rows = [row for row in rows_in(headway.folder) if row["variant"] == "short"]
    assert sum(row["cache_write_tokens"] > 0 for row in rows) == 1
    assert sum(row["cache_read_tokens"] > 1_000 for row in rows) == 11


def test_what_it_will_cost_is_said_before_it_is_spent(headway: Headway) -> None:
    with Emulator("any/unlimited?ttft=5ms&speed=20000&output_share=0.5") as provider:
        _, _, first = headway.run("compare", "v.toml", "i.jsonl", url=provider.url)
        said = re.match(r"24 calls, about \$([\d.]+) by estimate\.", first)
        assert said is not None, first
        assert 0.2 < float(said[1]) / provider.stats()["spent_usd"] < 5
        write(headway.folder, SHEET, 13)
        _, _, again = headway.run("compare", "v.toml", "i.jsonl", url=provider.url)
        assert again.startswith("26 calls, 24 of them have replies already; 2 are left, about $")
        _, _, last = headway.run("compare", "v.toml", "i.jsonl", url=provider.url)
        assert last == "26 calls, all of them have replies already.\n"
