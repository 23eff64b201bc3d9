"""Recorded exchanges: usage is read to the letter, streams are put together, estimates are near.

The recordings are not part of the project; without them beside it these tests are skipped.
"""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from headway.providers.anthropic import Anthropic
from headway.providers.message import MessageBuilder
from headway.providers.sse import Parser, parse_stream
from headway.providers.stream import StreamWatch
from headway.providers.usage import usage_of
from headway.providers.whole import read_reply

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "../shared/data"
pytestmark = pytest.mark.skipif(
    not (DATA / "claude_pairs_dev.jsonl").exists(), reason="no recorded exchanges beside the repository"
)


@pytest.fixture(scope="module")
def measures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("estimate_benchmark", ROOT / "benchmarks/estimate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pairs() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / "claude_pairs_dev.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def raw() -> list[dict[str, Any]]:
    lines = (DATA / "claude_raw_responses_dev.jsonl").read_text("utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["body"] is not None]


def test_usage_of_every_recorded_reply_is_read_to_the_letter(
    measures: ModuleType, pairs: list[Any], raw: list[Any]
) -> None:
    agreement = measures.usage_agreement(pairs, raw)
    assert agreement["bodies"] >= 1_000
    assert agreement["equal"] == agreement["bodies"]


def test_estimates_are_within_ten_percent_on_average(measures: ModuleType, pairs: list[Any]) -> None:
    off = measures.deviations(pairs)
    older, newer = off["3 to 4.6, text and tools"], off["4.7 and later, text and tools"]
    assert len(older) >= 600
    assert measures.summary(older)["mape"] <= 10
    assert measures.summary(newer)["mape"] <= 13


def test_nineteen_of_twenty_truths_lie_within_two_standard_deviations(
    measures: ModuleType, pairs: list[Any]
) -> None:
    provider, inside, rows = Anthropic(), 0, 0
    for pair in pairs:
        truth = measures.total_input(pair)
        if (
            truth
            and provider.catalog.model(pair["model"] or "")
            and measures.content_kind(pair["request_body"], pair) == "text and tools"
        ):
            made = provider.estimate({**pair["request_body"], "model": pair["model"]})
            inside += abs(made.input_tokens - truth) <= 2 * made.error * made.input_tokens
            rows += 1
    assert inside / rows >= 0.93


def test_every_recorded_stream_is_put_together_with_its_usage(pairs: list[Any], raw: list[Any]) -> None:
    recorded = {pair["id"]: pair["usage"] for pair in pairs}
    streams = [row for row in raw if row["body"].startswith("event: message_start")]
    assert len(streams) >= 200
    for row in streams:
        builder = MessageBuilder()
        for name, data in parse_stream(row["body"].encode()):
            builder.feed(name, data)
        message = builder.message()
        assert builder.complete
        assert builder.usage == recorded[row["id"]]
        assert message["stop_reason"]
        assert all(
            isinstance(block.get("input", {}), dict) and "type" in block for block in message["content"]
        )


def test_recorded_bodies_in_pieces_of_one_to_seven_bytes_give_the_same_events(raw: list[Any]) -> None:
    streams = [row["body"].encode() for row in raw if row["body"].startswith(("event:", "data:"))]
    for number, body in enumerate(sorted(streams, key=len)[:150]):
        size = number % 7 + 1
        parser = Parser()
        events = [event for at in range(0, len(body), size) for event in parser.feed(body[at : at + size])]
        assert events + parser.finish() == parse_stream(body)


def test_no_recorded_body_is_misjudged(raw: list[Any]) -> None:
    provider = Anthropic()
    for row in raw:
        problem = provider.classify(row["status"], {}, row["body"].encode())
        assert (problem is None) == (row["status"] == 200)


def test_no_recorded_body_makes_anything_fail_wherever_it_is_cut(raw: list[Any]) -> None:
    provider = Anthropic()
    for number, row in enumerate(raw):
        body = row["body"].encode()
        cut = body[: len(body) * (number % 10) // 10]
        provider.read_usage(cut)
        problem = provider.classify(row["status"], {}, cut)
        assert problem is not None


def test_one_pass_over_a_recorded_reply_says_what_two_do(raw: list[Any]) -> None:
    provider = Anthropic()
    for row in raw:
        body = row["body"].encode()
        both = provider.classify(row["status"], {}, body), provider.read_usage(body)
        assert read_reply(row["status"], {}, body)[:2] == both


def test_a_recorded_stream_is_watched_as_it_is_put_together(raw: list[Any]) -> None:
    streams = [row["body"].encode() for row in raw if row["body"].startswith("event:")]
    for number, body in enumerate(sorted(streams, key=len)):
        builder = MessageBuilder()
        for name, data in parse_stream(body):
            builder.feed(name, data)
        for size in (len(body), 1) if number % 4 == 0 else (len(body), 300):
            watch = StreamWatch()
            for at in range(0, len(body), size):
                watch.feed(body[at : at + size])
            watch.finish()
            assert watch.usage("") == usage_of(builder.usage, builder.message()["model"])
            assert (watch.started, watch.has_content, watch.complete) == (True, True, True)
            assert watch.stop_reason == builder.message()["stop_reason"]
            assert watch.produced_chars == builder.produced_chars
            assert watch.error is None
