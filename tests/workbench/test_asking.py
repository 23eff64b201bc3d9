from __future__ import annotations

from typing import Any

import pytest

from headway.workbench.finding import Severity

from .prompted import in_request, request, rules_of


def with_last(role: str, content: Any, **more: Any) -> dict[str, Any]:
    asked = request(**more)
    return asked | {"messages": [*asked["messages"], {"role": role, "content": content}]}


def errors(value: dict[str, Any]) -> set[str]:
    return {each.rule for each in in_request(value) if each.severity is Severity.ERROR}


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}]}, "HW401"),
        (request(max_tokens=1_000_000), "HW402"),
        (request("word " * 1_500_000), "HW403"),
        (with_last("assistant", "{", model="claude-opus-4-8"), "HW405"),
        (with_last("assistant", "Here: ", model="claude-sonnet-4-5"), "HW405"),
        (request() | {"messages": []}, "HW407"),
        (request(""), "HW407"),
        (with_last("robot", "Hi"), "HW407"),
        (request(thinking={"type": "enabled", "budget_tokens": 500}), "HW408"),
    ],
)
def test_what_the_api_refuses_is_an_error(value: dict[str, Any], rule: str) -> None:
    assert errors(value) == {rule}


@pytest.mark.parametrize(
    "value",
    [
        request(),
        request(max_tokens=64_000),
        with_last("assistant", "{", model="claude-sonnet-4-5"),
        with_last("assistant", "", model="claude-sonnet-4-5"),
        request(thinking={"type": "enabled", "budget_tokens": 400}),
        request(thinking={"type": "adaptive"}),
        {"model": "claude-2.1", "prompt": "\n\nHuman: Hi\n\nAssistant:", "max_tokens_to_sample": 5},
    ],
)
def test_what_it_takes_is_none(value: dict[str, Any]) -> None:
    assert errors(value) == set()


def test_a_maximum_is_mended_with_a_number() -> None:
    (one,) = [each for each in in_request(request(max_tokens=1_000_000)) if each.rule == "HW402"]
    assert one.better == '"max_tokens": 128000'


def test_an_unknown_model_gets_a_suggestion_and_a_known_one_in_any_spelling_does_not() -> None:
    (one,) = [each for each in in_request(request(model="claude-opus-9")) if each.rule == "HW404"]
    assert "claude-opus" in one.better
    for name in ("claude-opus-4-8", "us.anthropic.claude-opus-4-8-v1:0", "claude-opus-4.8@latest"):
        assert "HW404" not in rules_of(in_request(request(model=name)))


def test_a_retired_model_is_a_warning() -> None:
    (one,) = [each for each in in_request(request(model="claude-3-opus-20240229")) if each.rule == "HW404"]
    assert one.severity is Severity.WARNING


def test_sampling_is_worth_a_look() -> None:
    (one,) = [each for each in in_request(request(temperature=0)) if each.rule == "HW406"]
    assert one.severity is Severity.INFO


@pytest.mark.parametrize(
    ("value", "rule", "said"),
    [
        (request(max_tokens="100"), "HW401", '"100"'),
        (request(max_tokens=-5), "HW401", "-5"),
        (request(max_tokens=True), "HW401", "true"),
        (request() | {"messages": "Hi"}, "HW407", '"Hi", not a list'),
        (request() | {"messages": None}, "HW407", "null, not a list"),
        (request() | {"messages": [{"role": "user", "content": 7}]}, "HW407", "The content is 7"),
        (request(model=42), "HW404", "42"),
        (with_last("developer", "Be brief."), "HW407", '"developer"'),
    ],
)
def test_values_of_the_wrong_kind_are_errors_and_are_shown(
    value: dict[str, Any], rule: str, said: str
) -> None:
    (one,) = [each for each in in_request(value) if each.severity is Severity.ERROR]
    assert one.rule == rule
    assert said in one.reason


def test_max_tokens_of_0_only_warms_the_cache_and_is_taken() -> None:
    assert errors(request(max_tokens=0)) == set()


def test_a_model_that_is_wholly_unknown_is_found_and_those_of_other_apis_are_left_alone() -> None:
    assert "HW404" in rules_of(in_request(request(model="totally-unknown-model")))
    for name in ("gpt-4o", "openai/o3", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"):
        assert "HW404" not in rules_of(in_request(request(model=name)))
