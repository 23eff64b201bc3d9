"""How lines of the log look, and what can never be in one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.gateway.logs import open_log


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The loggers of the process are everybody's."""
    logger = logging.getLogger("headway")
    before = list(logger.handlers)
    yield
    logger.handlers[:] = before


def test_json_has_one_object_a_line_with_the_time_first() -> None:
    out = io.BytesIO()
    open_log("json", out).info("listening", url="http://127.0.0.1:8080")
    [line] = out.getvalue().splitlines()
    assert list(json.loads(line)) == ["timestamp", "level", "event", "url"]
    assert json.loads(line)["timestamp"].endswith("Z")


def test_text_has_the_same_for_eyes() -> None:
    out = io.BytesIO()
    open_log("console", out).info("listening", url="http://127.0.0.1:8080")
    [line] = out.getvalue().decode().splitlines()
    assert "listening url=http://127.0.0.1:8080" in line
    assert "\x1b" not in line


def test_text_for_eyes_keeps_the_order_in_which_things_were_said() -> None:
    out = io.BytesIO()
    open_log("console", out).info("call", method="POST", path="/v1/messages", call="a-1")
    assert b"method=POST path=/v1/messages call=a-1" in out.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_warnings_of_headway_come_the_same_way(style: str) -> None:
    out = io.BytesIO()
    open_log("json" if style == "json" else "console", out)
    logging.getLogger("headway.ledger").warning("cannot write %s", "the file")
    assert b"cannot write the file" in out.getvalue()
    assert out.getvalue().count(b"\n") == 1


def test_opening_a_log_again_does_not_double_the_lines() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    open_log("json", first)
    open_log("json", second)
    logging.getLogger("headway").warning("once")
    assert first.getvalue() == b""
    assert second.getvalue().count(b"once") == 1


def test_an_error_is_named_with_its_place_and_not_quoted() -> None:
    out = io.BytesIO()
    open_log("json", out)
    try:
        raise ValueError("the prompt of somebody")
    except ValueError:
        logging.getLogger("headway").exception("a hook raised")
    line = json.loads(out.getvalue())
    assert (line["failure"], line["level"], line["event"]) == ("ValueError", "error", "a hook raised")
    assert line["at"].startswith("test_logs.py:")
    assert b"prompt" not in out.getvalue()


@given(st.text(max_size=400))
def test_no_name_can_break_a_line_or_drive_a_terminal(name: str) -> None:
    for style in ("json", "console"):
        out = io.BytesIO()
        open_log("json" if style == "json" else "console", out).info("call", tenant=name)
        text = out.getvalue().decode()
        assert text.count("\n") == 1
        assert text.rstrip("\n").isprintable()
        assert len(text) < 400
