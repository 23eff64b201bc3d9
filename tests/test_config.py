from __future__ import annotations

import pytest

from headway.config import DEFAULT_BASE_URL, Config, load
from headway.errors import ConfigError


def test_the_environment_counts_and_arguments_come_before_it() -> None:
    environment = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": " http://a ", "HEADWAY_LEDGER": "l"}
    config = load(environment)
    assert (config.api_key, config.base_url, config.ledger) == ("k", "http://a", "l")
    config = load(environment, base_url="http://b", retries=None, concurrency=5)
    assert (config.base_url, config.retries, config.concurrency) == ("http://b", Config().retries, 5)
    assert load({"ANTHROPIC_BASE_URL": ""}).base_url == DEFAULT_BASE_URL


def test_a_key_is_sent_as_it_is_meant_and_a_token_as_bearer() -> None:
    assert load({"ANTHROPIC_API_KEY": "k"}).headers()[0] == (b"x-api-key", b"k")
    assert load({"ANTHROPIC_AUTH_TOKEN": "t"}).headers()[0] == (b"authorization", b"Bearer t")
    assert load({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"}).headers()[0][0] == b"x-api-key"
    with pytest.raises(ConfigError, match="no API key"):
        load({"ANTHROPIC_API_KEY": "  "}).headers()


def test_blanks_that_copying_left_around_a_key_are_cut_off() -> None:
    assert load({"ANTHROPIC_API_KEY": " sk-ant-1\r\n"}).api_key == "sk-ant-1"


@pytest.mark.parametrize("key", ["sk-ant\n-two", "sk ant", "sk-änt", "sk-ant\0"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"ANTHROPIC_API_KEY": key})
    assert "ANTHROPIC_API_KEY" in str(caught.value)
    assert "sk" not in str(caught.value) + caught.value.hint


def test_keys_never_show() -> None:
    assert "secret" not in repr(load({"ANTHROPIC_API_KEY": "secret", "ANTHROPIC_AUTH_TOKEN": "secret"}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_version": "2024"},
        {"concurrency": 0},
        {"retries": -1},
        {"max_cost_usd": 0.0},
        {"max_cost_usd": float("nan")},
        {"max_cost_usd": float("inf")},
    ],
)
def test_values_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        load({}, **wrong)
