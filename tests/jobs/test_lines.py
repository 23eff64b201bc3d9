from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import JobFileError
from headway.jobs.lines import Defaults, Line, custom_id_of, read_line

PARAMS: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
NONE = Defaults()


def read(value: object, defaults: Defaults = NONE, *, number: int = 1, is_text: bool = False) -> Line:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_line(data, number, defaults, is_text=is_text)


def problem(value: object, defaults: Defaults = NONE) -> str:
    with pytest.raises(JobFileError) as caught:
        read(value, defaults)
    return f"{caught.value} {caught.value.hint}"


def test_parameters_go_out_byte_for_byte_as_they_stand_in_the_file() -> None:
    messages = b'"messages":[{"role":"user","content":"H\\u0069"}]'
    params = b'{"model":"m","max_tokens":5,"stream":false,%b, "x" : 1.50}' % messages
    data = b'{"custom_id":"a","params":%b}' % params
    line = read(data)
    assert line.body(stream=False) == (
        b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"H\\u0069"}],"x":1.50}'
    )
    assert json.loads(line.body(stream=True))["stream"] is True


def test_a_bare_prompt_is_a_message_with_the_defaults_of_the_command_line() -> None:
    line = read({"prompt": "Hi", "temperature": 0}, Defaults("m", 5, "Be brief."), number=7)
    assert line.custom_id == "line-7"
    assert json.loads(line.body(stream=False)) == PARAMS | {"system": "Be brief.", "temperature": 0}
    assert read({"prompt": "Hi", "custom_id": "q"}, Defaults("m", 5)).custom_id == "q"


def test_what_a_line_says_itself_comes_before_the_defaults() -> None:
    line = read({"custom_id": "a", "params": PARAMS | {"system": "x"}}, Defaults("other", 9, "y"))
    assert json.loads(line.body(stream=False)) == PARAMS | {"system": "x"}


def test_plain_text_is_the_prompt_whatever_it_looks_like() -> None:
    line = read(b'{"not": json \xff', Defaults("m", 5), number=3, is_text=True)
    assert line.custom_id == "line-3"
    assert line.request["messages"][0]["content"] == '{"not": json �'


def test_the_openai_form_is_recognised_and_refused_by_name() -> None:
    said = problem({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}})
    assert "OpenAI Batch" in said
    assert '{"custom_id"' in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"{", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"\xff\xfe{\0", "not a JSON object"),
        ({}, "neither `params` nor `prompt`"),
        ({"params": PARAMS}, "no `custom_id`"),
        ({"custom_id": 7, "params": PARAMS}, "must be text"),
        ({"custom_id": "", "params": PARAMS}, "not empty"),
        ({"custom_id": "a", "params": []}, "`params` must be an object"),
        ({"custom_id": "a", "params": PARAMS | {"model": None}}, "no `model`"),
        ({"custom_id": "a", "params": PARAMS | {"max_tokens": "5"}}, "whole number"),
        ({"custom_id": "a", "params": PARAMS | {"max_tokens": True}}, "whole number"),
        ({"custom_id": "a", "params": PARAMS | {"max_tokens": -1}}, "whole number"),
        ({"custom_id": "a", "params": PARAMS | {"messages": []}}, "at least one message"),
        ({"custom_id": "a", "params": PARAMS | {"messages": ["Hi"]}}, "`role` and a `content`"),
        ({"prompt": ""}, "not empty"),
        ({"prompt": 5}, "must be text"),
        ({"prompt": "Hi"}, "--model"),
        ({"prompt": "Hi", "model": "m"}, "--max-tokens"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(value: object, said: str) -> None:
    assert said in problem(value)


@given(st.binary())
def test_no_bytes_do_anything_but_read_or_be_refused(data: bytes) -> None:
    custom_id_of(data)
    try:
        read_line(data, 1, Defaults("m", 5), is_text=False)
    except JobFileError:
        return


@pytest.mark.parametrize(
    "deep", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000]
)
def test_what_is_nested_too_deeply_is_a_line_that_cannot_be_run(deep: bytes) -> None:
    line = b'{"custom_id": "a", "params": {"model": "m", "max_tokens": 5, "messages": %b}}' % deep
    for data in (line, deep):
        assert "nest" in problem(data) or "recursion" in problem(data) or "JSON" in problem(data)
        custom_id_of(data)
