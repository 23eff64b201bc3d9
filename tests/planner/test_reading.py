"""A line is judged at a glance exactly as `headway run` judges it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.assemble import build
from headway.config import Config
from headway.errors import JobFileError
from headway.jobs.check import checker
from headway.jobs.index import scan
from headway.jobs.lines import Defaults
from headway.jobs.record import Options
from headway.planner.reading import Glance, first_text
from planner.jobs import AT_NS, MODEL, line, mixed, params, read

_CACHED = [{"type": "text", "text": "word " * 3_000, "cache_control": {"type": "ephemeral"}}]
ODD = (
    line("a", params()),
    line("", params()),
    b'{"custom_id": 7, "params": {}}',
    b'{"custom_id": "x", "params": {"model": 3}}',
    b'{"custom_id": "x"}',
    b"not json",
    b"[1, 2]",
    b'{"custom_id": "x", "params": {"model": "claude-sonnet-4-5", "max_tokens": true, "messages": [{"role": "user", "content": "a"}]}}',  # noqa: E501
    b'{"custom_id": "x", "params": {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": []}}',
    b'{"custom_id": "x", "params": {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": [{"role": "user"}]}}',
    b'{"custom_id": "x", "params": {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "\xff"}]}}',  # noqa: E501
    b'{"custom_id": "x", "params": {"model": "claude-sonnet-4-5", "max_tokens": 5, "system": "\xff", "messages": [{"role": "user", "content": "a"}]}}',  # noqa: E501
    b'{"custom_id": "x", "params": {"model": "claude-sonnet-4-5", "max_tokens": 5, "system": "\\ud800", "messages": [{"role": "user", "content": "a"}]}}',  # noqa: E501
    line("big", params(max_tokens=10**9)),
    line("nobody", params(model="claude-nobody-9")),
    line("long", params("word " * 300_000)),
    line("system", params(system=_CACHED)),
    line("more", params(thinking={"type": "enabled", "budget_tokens": 100})),
    json.dumps({"prompt": "hello", "max_tokens": 5}).encode(),
    json.dumps({"prompt": "", "max_tokens": 5}).encode(),
    json.dumps(
        {"prompt": "hello", "custom_id": "mine", "model": MODEL, "max_tokens": 5, "top_k": 3}
    ).encode(),
    json.dumps({"custom_id": "o", "method": "POST", "url": "/v1/chat", "body": {}}).encode(),
)


def _judged(check: object, data: bytes) -> str | tuple[str, str, str, int]:
    assert callable(check)
    try:
        found = check(data, 3)
    except JobFileError as error:
        return str(error)
    return found.line.custom_id, found.identity.pool, found.identity.model, found.estimate.max_output_tokens


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, object]:
    path = tmp_path_factory.mktemp("job") / "job.jsonl"
    path.write_bytes(b"{}")
    parts = build(Config(), lambda: AT_NS)
    defaults = Defaults(model=MODEL, max_tokens=64)
    full = checker(parts, Options(path, "job", None, defaults))
    return full, Glance(parts.provider, full, defaults, is_text=False)


@pytest.mark.parametrize("data", ODD, ids=range(len(ODD)))
def test_an_odd_line_has_the_same_verdict_in_the_same_words(
    data: bytes, checks: tuple[object, object]
) -> None:
    full, glance = checks
    assert _judged(glance, data) == _judged(full, data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5_000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    ["custom_id", "params", "prompt", "model", "max_tokens", "messages", "system", "tools", "top_k", "body"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    outer=st.dictionaries(fields, json_values, max_size=4),
    inner=st.dictionaries(fields, json_values, max_size=5),
    whole=st.booleans(),
)
def test_any_line_has_the_same_verdict(
    outer: dict[str, object], inner: dict[str, object], whole: bool, checks: tuple[object, object]
) -> None:
    full, glance = checks
    request = params() | inner if whole else inner
    data = json.dumps(outer | {"params": request, "custom_id": outer.get("custom_id", "x")}).encode()
    assert _judged(glance, data) == _judged(full, data)
    data = json.dumps(outer).encode()
    assert _judged(glance, data) == _judged(full, data)


def test_bad_lines_and_double_ids_are_reported_as_run_reports_them(tmp_path: Path) -> None:
    lines = [line("a", params()), b"nonsense\n", line("a", params("again")), line("b", params(max_tokens=-1))]
    glanced = read(tmp_path / "job.jsonl", lines)
    parts = build(Config(), lambda: AT_NS)
    with (tmp_path / "job.jsonl").open("rb") as file:
        whole = scan(file, checker(parts, Options(file, "job", None, Defaults())))
        assert [str(bad) for bad in glanced.index.bad] == [str(bad) for bad in whole.bad]
    assert glanced.index.good_count == 1


def test_the_same_beginning_up_to_a_breakpoint_is_the_same_prefix(tmp_path: Path) -> None:
    lines = [line(f"n{number}", params(f"Question {number}?", system=_CACHED)) for number in range(20)]
    found = read(tmp_path / "job.jsonl", lines)
    prefixes = {cell.kind.prefix for cell in found.index.cells}
    assert len(prefixes) == 1
    assert prefixes == {found.check(found.index.read(7), 8).estimate.prefix}


def test_a_beginning_that_goes_on_after_the_breakpoint_in_another_field_is_looked_at_in_full(
    tmp_path: Path,
) -> None:
    def odd(number: int) -> bytes:
        message = {"role": "user", "content": [*_CACHED, {"type": "text", "text": "?"}]}
        request = {"messages": [message], "model": MODEL, "max_tokens": 64, "system": f"You are {number}."}
        return line(f"n{number}", request)

    found = read(tmp_path / "job.jsonl", [odd(1), odd(2)])
    assert len({cell.kind.prefix for cell in found.index.cells}) == 2


def test_plain_text_takes_model_and_maximum_from_the_flags(tmp_path: Path) -> None:
    found = read(tmp_path / "p.txt", [b"Hello\n", b"\n", b"Bye\n"], Defaults(MODEL, 50), text=True)
    assert found.index.good_count == 2
    assert {cell.kind.model for cell in found.index.cells} == {MODEL}


def test_every_line_of_a_usual_job_is_good(tmp_path: Path) -> None:
    assert read(tmp_path / "job.jsonl", mixed(300)).index.good_count == 300


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([{"type": "text", "text": "block"}], "block"),
        ([{"type": "image"}], ""),
        ([], ""),
        (None, ""),
        ([{"text": 5}], ""),
    ],
)
def test_the_text_that_a_message_begins_with(content: object, text: str) -> None:
    assert first_text(content) == text
