"""What can go wrong around a job: servers that misbehave, input that is wrong or changes, settings that cannot work."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from headway.testing.emulated import Emulator

from .conftest import (
    FAST,
    Answer,
    Headway,
    Server,
    error,
    message,
    reply,
    request,
    results_of,
    stop,
    write_job,
)

Serve = Callable[[Answer], Server]
CUT = (
    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n"
    b'event: message_start\ndata: {"type":"message_start"'
)


def of_100(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(100)])


def test_an_api_that_is_not_there_is_said_after_a_few_tries_and_the_job_can_go_on(headway: Headway) -> None:
    of_100(headway)
    code, summary = headway.job(url="http://127.0.0.1:9")
    assert code == 5
    assert "cannot be reached" in summary["stopped"]["reason"]
    assert "127.0.0.1:9" in summary["stopped"]["reason"]
    assert "ANTHROPIC_BASE_URL" in summary["stopped"]["hint"]
    assert summary["attempts"] <= 4
    assert summary["elapsed_s"] < 10
    with Emulator(FAST) as provider:
        assert headway.job(url=provider.url)[0] == 0


def test_a_wrong_key_stops_the_job_with_the_first_call(headway: Headway, serve: Serve) -> None:
    of_100(headway)
    server = serve(lambda _n, _body: error("authentication_error", "invalid x-api-key", "401 Unauthorized"))
    code, summary = headway.job(url=server.url)
    assert code == 2
    assert (summary["attempts"], server.requests, summary["left"]) == (1, 1, 100)
    assert results_of(headway.folder / "job.results.jsonl") == {}


def test_a_spend_cap_stops_the_job_and_is_never_retried(headway: Headway) -> None:
    of_100(headway)
    with Emulator(FAST + "&spend_cap=20requests") as provider:
        code, summary = headway.job("--concurrency", "1", url=provider.url)
        books = provider.stats()
    assert code == 3
    assert (books["requests"], summary["succeeded"], summary["left"]) == (21, 20, 80)


def test_an_outage_of_the_api_stops_the_job_instead_of_erring_the_file(
    headway: Headway, serve: Serve
) -> None:
    of_100(headway)
    well = 30

    def answer(number: int, _body: bytes) -> bytes:
        return reply(message()) if number < well else error("api_error", "down")

    server = serve(answer)
    arguments = ("--retries", "0", "--no-stream", "--concurrency", "5")
    code, summary = headway.job(*arguments, url=server.url)
    assert code == 5
    assert "the API fails" in summary["stopped"]["reason"]
    assert "api_error: down" in summary["stopped"]["reason"]
    found = results_of(headway.folder / "job.results.jsonl")
    assert len(found) == 30
    assert all(result["type"] == "succeeded" for result in found.values())
    assert server.requests < 30 + 15
    well = 10**9
    assert headway.job(*arguments, url=server.url)[0] == 0
    assert len(results_of(headway.folder / "job.results.jsonl")) == 100


def test_single_lines_that_always_fail_are_errored_and_can_be_run_again(
    headway: Headway, serve: Serve
) -> None:
    write_job(
        headway.folder / "job.jsonl",
        [request(f"a{n}", prompt="poison" if n in (3, 7) else "ok") for n in range(30)],
    )
    is_ill = True

    def answer(_number: int, body: bytes) -> bytes:
        if is_ill and b"poison" in body:
            return b""
        return reply(message())

    server = serve(answer)
    arguments = ("--retries", "1", "--no-stream")
    code, summary = headway.job(*arguments, url=server.url)
    assert code == 1
    assert (summary["succeeded"], summary["errored"], summary["errors"]) == (28, 2, {"api_error": 2})
    found = results_of(headway.folder / "job.results.jsonl")
    assert found["a3"]["error"]["error"]["type"] == "api_error"
    code, summary = headway.job(*arguments, url=server.url)
    assert (code, summary["attempts"], summary["already_errored"]) == (1, 0, 2)
    is_ill = False
    code, summary = headway.job("--retry-errored", *arguments, url=server.url)
    assert (code, summary["succeeded"], summary["already_done"]) == (0, 2, 28)
    assert len(results_of(headway.folder / "job.results.jsonl")) == 30


SSE = "content-type: text/event-stream\r\n"
HOSTILE = {
    "hang up": b"",
    "garbage": b"\0\xff garbage \r\n\r\n",
    "short body": b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\n{}",
    "page": reply(b"<html>proxy</html>", headers="content-type: text/html\r\n"),
    "no message": reply({"ok": True}),
    "deep": reply(b"[" * 20_000),
    "odd headers": reply(
        b'{"type":"message"', headers="retry-after: soon\r\nanthropic-ratelimit-requests-limit: x\r\n"
    ),
    "cut": CUT,
    "no object": reply(b'event: message_start\ndata: {"type":"message_start","message":7}\n\n', headers=SSE),
    "429 at once": error("rate_limit_error", "wait", "429 Slow", "retry-after: 0\r\n"),
    "529": error("overloaded_error", "busy", "529 Busy"),
    "terminal codes": error("api_error", "\u202e\x1b[31m evil [bold]markup[/nope]", "503 No"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_replies_of_hostile_servers_are_tried_again(headway: Headway, serve: Serve, name: str) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(4)])
    server = serve(lambda number, _body: HOSTILE[name] if number in (1, 2) else reply(message()))
    code, out, err = headway.run("run", "job.jsonl", "--json", url=server.url)
    assert code == 0, err
    assert "\x1b" not in err
    summary = json.loads(out)
    assert (summary["succeeded"], summary["attempts"]) == (4, 6)


def test_what_a_server_sends_is_written_even_if_it_is_hardly_json(headway: Headway, serve: Serve) -> None:
    write_job(headway.folder / "job.jsonl", [request("a")])
    tool = b'{"type":"tool_use","input":{"n":123456789012345678901234567890,"s":"\\ud800","f":1e999}}'
    odd = b'{"type":"message","content":[%b],"usage":{"input_tokens":1,"output_tokens":1}}' % tool
    server = serve(lambda _n, _b: reply(odd))
    assert headway.job("--no-stream", url=server.url)[0] == 0
    result = results_of(headway.folder / "job.results.jsonl")["a"]
    assert result["message"]["content"][0]["input"] == {
        "n": 123456789012345678901234567890,
        "s": "\ud800",
        "f": None,
    }
    assert headway.job("--no-stream", url=server.url)[1]["already_done"] == 1


def test_a_stream_that_is_not_announced_is_put_together_all_the_same(headway: Headway, serve: Serve) -> None:
    write_job(headway.folder / "job.jsonl", [request("a")])
    usage = {"input_tokens": 3, "output_tokens": 1}
    text: dict[str, Any] = {"type": "text", "text": ""}
    values: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"type": "message", "content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    events = "".join(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n" for value in values).encode()
    server = serve(lambda _n, _b: reply(events, headers="content-type: text/plain\r\n"))
    code, summary = headway.job(url=server.url)
    assert (code, summary["tokens"]["output"]) == (0, 2)
    content = results_of(headway.folder / "job.results.jsonl")["a"]["message"]["content"]
    assert content == [{"type": "text", "text": "Hi"}]


def test_streamed_and_plain_replies_give_the_same_results(headway: Headway) -> None:
    tool = {"name": "t", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    lines = [
        request("text"),
        request("thinking", thinking={"type": "enabled", "budget_tokens": 1024}, most=2000),
        request("tool", tools=[tool], tool_choice={"type": "tool", "name": "t"}),
    ]
    write_job(headway.folder / "job.jsonl", lines)
    found = []
    for way in ("--stream", "--no-stream"):
        with Emulator(FAST + "&output_sigma=0") as provider:
            assert headway.job(way, "-o", f"{way}.jsonl", url=provider.url)[0] == 0
        results = results_of(headway.folder / f"{way}.jsonl")
        for result in results.values():
            result["message"].pop("id")
            for block in result["message"]["content"]:
                block.pop("id", None)
        found.append(results)
    assert found[0] == found[1]


def test_bad_lines_are_said_with_their_numbers_before_anything_is_sent(headway: Headway) -> None:
    lines = [
        json.dumps(request("good")),
        "{not json",
        json.dumps(request("good")),
        json.dumps({"params": request("x")["params"]}),
        json.dumps(request("typo") | {"params": request("x")["params"] | {"model": "claude-opsu-4-5"}}),
        json.dumps(request("long", prompt="word " * 300_000)),
        json.dumps(request("most", most=10_000_000)),
        json.dumps({"custom_id": "o", "method": "POST", "url": "/v1/chat/completions", "body": {}}),
    ]
    (headway.folder / "job.jsonl").write_text("\n".join(lines) + "\n")
    with Emulator(FAST) as provider:
        code, _, err = headway.run("run", "job.jsonl", url=provider.url)
        assert code == 2
        assert provider.stats()["requests"] == 0
        for said in (
            "7 lines cannot be run; nothing was sent",
            "line 2: not a JSON object",
            "line 3 (good): the same custom_id as line 1",
            "line 4: no `custom_id`",
            "line 5 (typo): unknown model 'claude-opsu-4-5'; did you mean claude-opus-4",
            "line 6 (long): prompt of about",
            "line 7 (most): max_tokens 10,000,000",
            "line 8 (o): this is a line of the OpenAI Batch API",
            "--keep-going",
        ):
            assert said in err
        code, summary = headway.job("--keep-going", url=provider.url)
        assert (code, summary["succeeded"], summary["errored"]) == (1, 1, 6)
        assert provider.stats()["requests"] == 1
        assert headway.job("--keep-going", url=provider.url)[1]["already_done"] == 7
    found = results_of(headway.folder / "job.results.jsonl")
    assert found.keys() == {"good", "line-2", "line-4", "typo", "long", "most", "o"}
    assert "line 5: unknown model" in found["typo"]["error"]["error"]["message"]


def test_a_changed_job_file_is_noticed_and_what_is_paid_for_is_kept(headway: Headway) -> None:
    path = write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(5)])
    with Emulator(FAST) as provider:
        assert headway.job(url=provider.url)[0] == 0
        write_job(path, [request(f"a{n}") for n in range(6)])
        code, _, err = headway.run("run", "job.jsonl", url=provider.url)
        assert code == 2
        assert "job.jsonl has changed" in err
        assert "5 lines" in err
        code, summary = headway.job("--accept-changes", url=provider.url)
        assert (code, summary["succeeded"], summary["already_done"]) == (0, 1, 5)
        code, summary = headway.job("--restart", url=provider.url)
        assert (code, summary["succeeded"], summary["already_done"]) == (0, 6, 0)


@pytest.mark.parametrize("change", ["cut", "edited"])
def test_a_job_file_that_changes_while_it_runs_stops_the_job(headway: Headway, change: str) -> None:
    path = write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(200)])
    output = headway.folder / "job.results.jsonl"
    with (
        Emulator("any/unlimited?ttft=50ms&speed=20000&output_mean=20") as provider,
        headway.start("run", "job.jsonl", "--concurrency", "4", url=provider.url) as process,
    ):
        while not output.exists() or not output.read_bytes():
            time.sleep(0.005)
        with path.open("r+b") as file:
            if change == "cut":
                file.truncate(50)
            else:
                data = file.read().replace(b"Hello", b"Hullo")
                file.seek(0)
                file.write(data)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "the job file changed while the job ran" in err
    assert "Traceback" not in err


def test_lines_added_to_the_job_file_while_it_runs_do_no_harm(headway: Headway) -> None:
    path = write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(60)])
    output = headway.folder / "job.results.jsonl"
    with Emulator("any/unlimited?ttft=30ms&speed=20000&output_mean=20") as provider:
        with headway.start("run", "job.jsonl", "--concurrency", "4", url=provider.url) as process:
            while not output.exists() or not output.read_bytes():
                time.sleep(0.005)
            with path.open("a") as file:
                file.write(json.dumps(request("late")) + "\n")
            process.communicate(timeout=30)
        assert process.returncode == 0
        code, summary = headway.job("--accept-changes", url=provider.url)
    assert (code, summary["succeeded"], summary["already_done"]) == (0, 1, 60)


def test_an_output_that_is_removed_while_the_job_runs_is_written_again(headway: Headway) -> None:
    of_100(headway)
    output = headway.folder / "job.results.jsonl"
    with Emulator("any/unlimited?ttft=50ms&speed=20000&output_mean=20") as provider:
        with headway.start("run", "job.jsonl", "--concurrency", "2", url=provider.url) as process:
            while not output.exists() or not output.read_bytes():
                time.sleep(0.005)
            output.unlink()
            _, err = process.communicate(timeout=30)
        assert process.returncode == 5
        assert "moved or removed" in err
        assert len(results_of(output)) == provider.stats()["completed"]
        assert headway.job(url=provider.url)[0] == 0
        assert provider.stats()["completed"] == 100


def test_no_wait_is_longer_than_allowed_and_the_job_goes_on_later(headway: Headway) -> None:
    of_100(headway)
    with Emulator(
        "claude-opus-4/tier-1?requests=60&burst=2s&ttft=5ms&speed=20000&output_mean=20"
    ) as provider:
        code, summary = headway.job("--max-wait", "300ms", url=provider.url)
        assert code == 3
        assert "wait" in summary["stopped"]["reason"]
        assert summary["left"] > 0
        assert provider.stats()["completed"] == summary["succeeded"]


def test_calls_in_line_behind_our_own_do_not_count_as_waiting(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}") for n in range(12)])
    with Emulator(FAST) as provider:
        code, _ = headway.job(
            "--limits", "requests=240/min", "--burst", "requests=1", "--max-wait", "1s", url=provider.url
        )
    assert code == 0


def test_a_reader_that_is_slow_holds_the_job_up_and_loses_nothing(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}", most=2000) for n in range(60)])
    with (
        Emulator("any/unlimited?ttft=1ms&speed=1000000&output_share=1") as provider,
        headway.start("run", "job.jsonl", "-o", "-", "--concurrency", "2", url=provider.url) as process,
    ):
        while provider.stats()["completed"] < 5:  # by then the pipe is full
            time.sleep(0.01)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(out.splitlines()) == 60


def test_ctrl_c_while_the_job_is_checked_ends_it_at_once(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"a{n}", prompt="word " * 500) for n in range(60_000)])
    with headway.start("run", "job.jsonl") as process:
        assert process.stderr is not None
        while "checking the job" not in process.stderr.readline():
            pass
        code, err = stop(process, signal.SIGINT)
    assert code == 130
    assert "Traceback" not in err
