from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InputError
from headway.wire.request import Origin


class Parsed:
    """A request head as a server reads it."""

    def __init__(self, head: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.target = b""
        parser = httptools.HttpRequestParser(self)
        self.done = 0
        parser.feed_data(head)
        self.method = parser.get_method()

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.done += 1


def test_what_http_needs_is_added() -> None:
    head = Origin("https://api.example/base/").head(
        "POST", "/v1/messages?beta=true", [(b"X-Api-Key", b"k")], 12
    )
    assert head == (
        b"POST /base/v1/messages?beta=true HTTP/1.1\r\nHost: api.example\r\nX-Api-Key: k\r\nAccept: */*\r\n"
        b"Accept-Encoding: identity\r\nContent-Length: 12\r\n\r\n"
    )


def test_what_the_caller_accepts_stands() -> None:
    given = [(b"accept", b"text/event-stream"), (b"ACCEPT-encoding", b"gzip")]
    assert Parsed(Origin("http://a").head("GET", "/", given, 0)).headers == [(b"Host", b"a"), *given]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://h", b"h"),
        ("http://h:80/", b"h"),
        ("http://h:443", b"h:443"),
        ("https://H:443", b"h"),
        ("https://h:8443/x", b"h:8443"),
        ("http://[::1]:81", b"[::1]:81"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_not_the_usual_one(url: str, host: bytes) -> None:
    assert Parsed(Origin(url).head("GET", "/", [], 0)).headers[0] == (b"Host", host)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.example", "ftp://a", "http://", "http://a:x", "http://a:99999", "http://a:0", "http://u:p@a",
        "http://a?q", "http://a#f", "http://a b", "https://.a", "http://a/b c", "http://[::1", "http://bücher.example",
    ],
)  # fmt: skip
def test_a_base_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        Origin(url)


@pytest.mark.parametrize("path", ["", "x", "/a b", "/a\r\nX: y", "/ü", "/\0", "http://other/"])
def test_a_path_that_could_break_the_request_line_is_refused(path: str) -> None:
    with pytest.raises(InputError):
        Origin("http://a").head("GET", path, [], 0)


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n", "GÉT", "G/1"])
def test_a_method_is_a_word(method: str) -> None:
    with pytest.raises(InputError):
        Origin("http://a").head(method, "/", [], 0)


@pytest.mark.parametrize("name", [b"Host", b"content-length", b"Transfer-Encoding", b"CONNECTION", b"Expect"])
def test_headers_that_frame_the_request_are_ours_alone(name: bytes) -> None:
    with pytest.raises(InputError, match=name.decode().lower()):
        Origin("http://a").head("POST", "/", [(name, b"1")], 0)


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\n", b"\r", b"a\0b"])
def test_a_header_value_with_a_line_break_is_refused_without_showing_it(value: bytes) -> None:
    with pytest.raises(InputError) as caught:
        Origin("http://a").head("POST", "/", [(b"x-api-key", b"secret" + value)], 0)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "length"), [("POST", True), ("PUT", True), ("GET", False), ("DELETE", False)]
)
def test_an_empty_body_has_a_length_only_where_a_body_is_expected(method: str, length: bool) -> None:
    assert (b"Content-Length: 0" in Origin("http://a").head(method, "/", [], 0)) is length


@given(
    headers=st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=12)), max_size=4),
    path=st.text(max_size=8).map(lambda path: "/" + path),
)
def test_a_head_that_is_not_refused_reads_back_as_what_was_given(
    headers: list[tuple[bytes, bytes]], path: str
) -> None:
    try:
        head = Origin("http://a").head("POST", path, headers, 0)
    except InputError:
        return
    parsed = Parsed(head)
    assert parsed.done == 1
    assert parsed.target.decode() == path
    assert [name for name, _ in parsed.headers[1 : len(headers) + 1]] == [name for name, _ in headers]
    stripped = [value.strip(b" \t") for _, value in headers]
    assert [value.strip(b" \t") for _, value in parsed.headers[1 : len(headers) + 1]] == stripped
