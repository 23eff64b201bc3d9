"""The provider names pools as the API counts them, and is the seam that the core asks for."""

import pytest

from headway.core.ports import Provider
from headway.providers.anthropic import Anthropic


@pytest.mark.parametrize(
    ("path", "model", "pool"),
    [
        ("/v1/messages", "claude-opus-4-20250514", "anthropic/opus-4"),
        ("/v1/messages?beta=true", "claude-opus-4-8", "anthropic/opus-4"),
        ("/v1/messages", "claude-sonnet-5", "anthropic/sonnet-5"),
        ("/v1/messages/count_tokens", "claude-opus-4-0", "anthropic/count_tokens"),
        ("/v1/messages/count_tokens?beta=true", "claude-sonnet-5", "anthropic/count_tokens"),
        ("/v1/messages/batches", "", "anthropic/batches"),
        ("/v1/messages/batches/msgbatch_1/results", "", "anthropic/batches"),
        ("/relay/x/anthropic/v1/messages", "claude-opus-4-0", "anthropic/opus-4"),
        ("https://relay.example/anthropic/v1/messages/?beta=true", "claude-opus-4-0", "anthropic/opus-4"),
        ("//v1//messages//", "claude-opus-4-0", "anthropic/opus-4"),
        ("/gate//v1/messages//count_tokens/", "claude-opus-4-0", "anthropic/count_tokens"),
        ("/gate/v1/messages/batches/msgbatch_1/cancel?beta=true", "", "anthropic/batches"),
        ("/v1/models", "", None),
        ("/v1/models?then=/v1/messages", "", None),
        ("/v1/messages/batchesque", "", None),
        ("/v1/messages/count_tokens/more", "", None),
        ("/v1/sessions/s_1/events", "claude-opus-4-0", None),
        ("/dev1/messages", "claude-opus-4-0", None),
        ("/v1/files?limit=1", "", None),
        ("/v1/messages_other", "claude-opus-4-0", None),
        ("/", "", None),
    ],
)
def test_each_path_draws_on_its_pool(path: str, model: str, pool: str | None) -> None:
    identity = Anthropic().identify(path, {"model": model} if model else {})
    assert (identity.pool, identity.model, identity.known) == (pool, model, True)


def test_an_unknown_model_has_a_pool_of_its_own() -> None:
    identity = Anthropic().identify("/v1/messages", {"model": "claude-next-9"})
    assert (identity.pool, identity.model, identity.known) == (
        "anthropic/claude-next-9",
        "claude-next-9",
        False,
    )


def test_fast_mode_has_limits_of_its_own() -> None:
    request = {"model": "claude-opus-5-5", "speed": "fast"}
    assert Anthropic().identify("/v1/messages", request).pool == "anthropic/opus-5.5/fast"


@pytest.mark.parametrize("request_", [{}, {"model": None}, {"model": 7}, {"model": ["x"]}])
def test_a_request_without_a_model_is_unknown_and_no_failure(request_: dict[str, object]) -> None:
    identity = Anthropic().identify("/v1/messages", request_)
    assert (identity.pool, identity.known) == ("anthropic/unknown", False)


def test_it_is_a_provider_with_the_five_functions_in_order() -> None:
    provider: Provider = Anthropic()
    assert provider.name == "anthropic"
    functions = [
        name for name in vars(Anthropic) if not name.startswith("_") and callable(vars(Anthropic)[name])
    ]
    assert functions == ["identify", "estimate", "read_limits", "read_usage", "classify"]
