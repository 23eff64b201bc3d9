from __future__ import annotations

import json
from pathlib import Path

import pytest

from headway.errors import InputError
from headway.workbench.prompts import read_source

from .prompted import found, in_job, in_request, request


def test_a_text_has_the_lines_of_its_file() -> None:
    (one,) = found("prompt.txt", "Say the following to them.\n\nThen say [INSERT NAME] to all.\n")
    assert str(one.place) == "prompt.txt:3:10"


def test_a_request_has_json_paths() -> None:
    (one,) = in_request(
        request([{"type": "text", "text": "Say this to them:"}, {"type": "text", "text": "a [INSERT b]"}])
    )
    assert str(one.place) == "request.json $.messages[0].content[1].text 1:3"


def test_a_job_has_the_line_and_the_path() -> None:
    (one,) = in_job(request(), request("Say [INSERT NAME]"))
    assert str(one.place) == "job.jsonl:2 params.messages[0].content 1:5"


def test_a_bare_prompt_of_a_job_is_read_too() -> None:
    line = json.dumps({"prompt": "Say [INSERT NAME]", "model": "claude-opus-4-8", "max_tokens": 5})
    (one,) = found("job.jsonl", line)
    assert str(one.place) == "job.jsonl:1 prompt 1:5"


def test_a_variant_has_the_lines_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_text(
        '[defaults]\nmodel = "claude-opus-4-8"\nmax_tokens = 5\n\n[[variant]]\nprompt = """\nSay this to {name}.\n'
        'And [INSERT IT].\n"""\n[[variant]]\nprompt = "a \\u0041 [INSERT IT]"\n'
    )
    places = [str(one.place) for one in found(str(path), path.read_text())]
    assert places == [f"{path} variant 'variant 2' prompt 1:5", f"{path}:8:5"]


def test_a_system_prompt_of_its_own_has_its_own_file() -> None:
    (one,) = found("prompt.txt", "Say this to them.", "You are kind.\n[INSERT NAME]")
    assert str(one.place) == "system.txt:2:1"


def test_results_of_tools_are_read_for_waste_and_not_as_instructions() -> None:
    block = {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": [{"type": "text", "text": "[INSERT NAME]"}],
    }
    source = read_source("request.json", json.dumps(request([block])).encode())
    (piece,) = source.prompts[0].pieces
    assert (piece.role, piece.start.path) == ("tool", "$.messages[0].content[0].content[0].text")


def test_lines_that_are_no_json_are_kept_apart() -> None:
    source = read_source("job.jsonl", (json.dumps(request()) + "\nnot json\n").encode())
    assert (len(source.prompts), source.bad) == (1, ((2, "not a JSON object"),))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("prompt.txt", b"", "is empty"),
        ("prompt.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("request.json", b"{", "is not JSON"),
        ("job.jsonl", b"x\n", "no line that can be read: line 1 is not a JSON object"),
    ],
)
def test_what_is_no_prompt_is_refused(name: str, data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_source(name, data)


@pytest.mark.parametrize(
    "content", [None, 3, [], [3], [{"type": "text"}], [{"type": "text", "text": 3}], {"a": 1}]
)
def test_odd_requests_are_read_without_a_fall(content: object) -> None:
    for value in (
        {"messages": [{"role": "user", "content": content}, content]},
        {"messages": content, "system": content},
    ):
        in_request(value)
        in_job(value)


def test_requests_to_other_apis_are_known() -> None:
    others = [
        {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]},
        {"model": "anthropic/claude-opus-4.5", "messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {}},
        {"messages": [{"role": "tool", "content": "Hi"}]},
    ]
    for value in others:
        assert in_request(value) == []


def test_without_a_name_a_job_is_known_by_its_lines_and_a_request_by_its_keys() -> None:
    line = json.dumps({"custom_id": "a", "params": request()}) + "\n"
    assert read_source("standard input", (line * 2).encode()).kind == "job"
    assert read_source("standard input", json.dumps(request(), indent=2).encode()).kind == "request"
    assert read_source("standard input", b'{"a": 1}\nis JSON').kind == "text"


@pytest.mark.parametrize("name", ["request.json", "prompt.txt"])
def test_json_that_is_nested_too_deep_is_refused_by_name(name: str) -> None:
    deep = b'{"messages": ' + b"[" * 3_000 + b"]" * 3_000 + b"}"
    with pytest.raises(InputError, match="nested more than 200 deep"):
        read_source(name, deep)


def test_a_line_of_a_job_that_is_nested_too_deep_or_asks_nothing_is_bad_and_the_others_are_read() -> None:
    deep = '{"prompt": "x", "tools": ' + "[" * 300 + "]" * 300 + "}"
    source = read_source("job.jsonl", f'{{"prompt": "Hi"}}\n{deep}\n{{"body": 1}}\n'.encode())
    assert len(source.prompts) == 1
    assert [number for number, _ in source.bad] == [2, 3]
