"""What goes on to the provider, and what does not."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.gateway.head import read_head
from headway.gateway.refusal import Denied
from headway.providers.anthropic import Anthropic


def scope(path: str = "/v1/messages", query: bytes = b"", *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "method": "POST",
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": query,
        "headers": list(headers),
    }


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages",
        "/v1/messages/",
        "/v1/messages/count_tokens",
        "/v1/messages/batches/msgbatch_01abc/results",
        "/v1/models/claude-opus-4.5",
        "/v1/files/file:1@2",
        "/v1/models/a%20b",
        "/",
    ],
)
def test_a_plain_path_goes_on_as_it_is(path: str) -> None:
    assert read_head(scope(path)).target == path


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../v1/messages",
        "/v1/./messages",
        "/v1//messages",
        "//v1/messages",
        "/v1/messages/..",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1%2fmessages",
        "/v1/%6dessages",
        "/v1/messages%00",
        "/v1/messages%0d%0aX-A:b",
        "/v1/mess%25ages",
        "/v1/messages%5c..",
        "/v1\\messages",
        "/v1/messages;x=1",
        "/v1/messages#x",
        "/v1/messages x",
        "/v1/mess%zzages",
        "/v1/mess%6",
        "v1/messages",
        "*",
        "",
        "/v1/modèles",
        "/v1/messages\x7f",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_refused(path: str) -> None:
    with pytest.raises(Denied) as refused:
        read_head(scope(path))
    assert refused.value.status == 400


@given(st.text(st.sampled_from("/v1mesag%2e25fd6.\\;:cout_ktn"), max_size=40))
def test_no_spelling_of_a_path_is_another_endpoint_to_whoever_decodes_it(path: str) -> None:
    try:
        head = read_head(scope(f"/v1{path}"))
    except Denied:
        return
    provider, decoded = Anthropic(), head.path
    for _ in range(3):
        decoded = unquote(decoded)
    assert provider.identify(head.path, {}).pool == provider.identify(decoded, {}).pool
    assert ".." not in decoded.split("/")
    assert "//" not in decoded


def test_a_query_goes_on_as_it_is() -> None:
    assert read_head(scope("/v1/messages", b"beta=true&a=%2F%00")).target == "/v1/messages?beta=true&a=%2F%00"


def test_a_query_with_other_characters_is_refused() -> None:
    with pytest.raises(Denied):
        read_head(scope("/v1/messages", b"a=\xe9"))


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([(b"x-api-key", b"one")], b"one"),
        ([(b"authorization", b"Bearer two")], b"two"),
        ([(b"authorization", b"bearer  two ")], b"two"),
        ([(b"authorization", b"Bearer two"), (b"x-api-key", b"one")], b"one"),
        ([(b"x-api-key", b""), (b"authorization", b"Bearer two")], b"two"),
        ([(b"authorization", b"Basic two")], b""),
        ([(b"authorization", b"two")], b""),
        ([], b""),
    ],
)
def test_a_key_comes_in_either_header_and_goes_on_in_none(
    headers: list[tuple[bytes, bytes]], key: bytes
) -> None:
    head = read_head(scope("/v1/messages", b"", *headers))
    assert head.presented == key
    assert head.headers == []


def test_headers_for_headway_are_told_apart() -> None:
    head = read_head(scope("/v1/messages", b"", (b"headway-session", b"a"), (b"x-b", b"c")))
    assert head.ours == {"headway-session": "a"}
    assert head.headers == [(b"x-b", b"c")]


def test_a_method_that_the_api_has_not_is_refused() -> None:
    for method in ("TRACE", "M-SEARCH", "PROPFIND", "get"):
        with pytest.raises(Denied) as refused:
            read_head(scope() | {"method": method})
        assert refused.value.status == 405
