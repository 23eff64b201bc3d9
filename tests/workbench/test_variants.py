from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from headway.errors import InputError
from headway.workbench.variants import Variant, check_fields, read_inputs, read_sheet

WHOLE = '[[variant]]\nprompt = "Hi {name}"\nmodel = "m"\nmax_tokens = 5\n'


def sheet_of(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "variants.toml"
    path.write_text(text, "utf-8")
    return read_sheet(path)


def test_defaults_hold_for_all_variants_and_each_may_say_otherwise(tmp_path: Path) -> None:
    sheet = sheet_of(
        tmp_path,
        '[defaults]\nmodel = "m"\nmax_tokens = 5\nprompt = "{x}"\ntemperature = 0\n'
        '[[variant]]\nname = "a"\n[[variant]]\nmodel = "n"\nsystem = "Be {mood}."\n',
    )
    first, second = sheet.variants
    fields = {"x": "1", "mood": "brief"}
    common = {"max_tokens": 5, "temperature": 0, "messages": [{"role": "user", "content": "1"}]}
    assert first.request(fields) == common | {"model": "m"}
    assert second.name == "variant 2"
    assert second.request(fields) == common | {"model": "n", "system": "Be brief."}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = ", "is not TOML"),
        ("", "no [[variant]]"),
        ("[other]\n" + WHOLE, "'other' is not known"),
        ('[[variant]]\nprompt = "x"\nmax_tokens = 5\n', "has no model"),
        ('[[variant]]\nprompt = "x"\nmodel = "m"\n', "has no max_tokens"),
        ('[[variant]]\nmodel = "m"\nmax_tokens = 5\n', "has no prompt"),
        (WHOLE.replace("5", '"5"'), "max_tokens must be a whole number"),
        (WHOLE.replace("5", "true"), "max_tokens must be a whole number"),
        (WHOLE + 'cache = "yes"\n', "cache must be true or false"),
        (WHOLE + "system = 3\n", "system must be a text"),
        (WHOLE + 'name = ""\n', "name of variant 1"),
        (WHOLE + 'name = "a\\u001b[31m"\n', "name of variant 1"),
        (WHOLE + 'name = "a"\n' + WHOLE + 'name = "a"\n', "two variants are called 'a'"),
    ],
)
def test_a_sheet_that_cannot_be_used_is_refused_with_what_is_wrong(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        sheet_of(tmp_path, text)
    assert said in str(caught.value)


def test_a_field_that_an_input_lacks_is_said_with_its_line_and_variant(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, WHOLE)
    inputs = read_inputs(io.BytesIO(b'{"name": "x"}\n\n{"nome": "y"}\n'), "inputs.jsonl", is_text=False)
    with pytest.raises(InputError) as caught:
        check_fields(sheet, inputs, "inputs.jsonl")
    assert str(caught.value) == "inputs.jsonl, line 3: no field 'name', which variant 'variant 1' wants"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "has no lines"),
        (b"{}\n[1]\n", "line 2: not a JSON object"),
        (b"{}\nx\n", "line 2: not JSON"),
        (b'{"id": "a"}\n{"id": "a"}\n', "line 2: the same id as line 1"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused_with_their_line(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_inputs(io.BytesIO(data), "inputs.jsonl", is_text=False)


def test_a_line_of_text_is_the_field_input() -> None:
    (one,) = read_inputs(io.BytesIO("Grüße\n".encode()), "inputs.txt", is_text=True)
    assert (one.id, one.fields) == ("1", {"input": "Grüße"})


def cached(prompt: str, system: str | None = None, **more: Any) -> dict[str, Any]:
    return Variant("a", prompt, system, True, {"model": "m", "max_tokens": 5, **more}).request({"x": "X"})


MARK = {"cache_control": {"type": "ephemeral"}}


def test_a_breakpoint_follows_the_last_text_that_never_changes() -> None:
    request = cached("Fixed. {x}", "System")
    assert request["system"] == "System"
    assert request["messages"][0]["content"] == [
        {"type": "text", "text": "Fixed. "} | MARK,
        {"type": "text", "text": "X"},
    ]
    assert cached("{x} fixed", "System")["system"] == [{"type": "text", "text": "System"} | MARK]
    assert cached("{x}", "Fixed {x}")["system"] == [
        {"type": "text", "text": "Fixed "} | MARK,
        {"type": "text", "text": "X"},
    ]
    assert "cache_control" not in str(cached("{x}"))


def test_messages_of_a_variant_come_before_its_prompt() -> None:
    request = cached(
        "{x}", "S", messages=[{"role": "user", "content": "{x}?"}, {"role": "assistant", "content": "ok"}]
    )
    assert [message["content"] for message in request["messages"]] == ["X?", "ok", "X"]


def test_text_that_is_not_utf_8_is_refused_with_its_line() -> None:
    with pytest.raises(InputError, match="line 2: not UTF-8 text"):
        read_inputs(io.BytesIO(b"fine\nbad \xff\n"), "inputs.txt", is_text=True)


def test_max_tokens_below_1_is_refused_with_variant_and_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="variant 'short': max_tokens is -4"):
        sheet_of(tmp_path, '[[variant]]\nname = "short"\nmodel = "m"\nmax_tokens = -4\nprompt = "x"\n')
