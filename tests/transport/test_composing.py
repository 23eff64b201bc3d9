"""headway is one layer among others: middleware above, transports below, proxies, compression, redirects, relays."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import anthropic
import httpx2
import pytest

import headway
from headway.runtime import Engine
from transport.conftest import Ours
from transport.flavours import Flavour, done, everything, hello, opened
from transport.provider import Answer, End, Provider, Request
from transport.replies import (
    LAST_CHUNK,
    as_the_api,
    chunk,
    error,
    message,
    stream,
    stream_head,
    text_events,
)
from transport.replies import (
    http as reply,
)
from transport.test_trouble import one_after_another


def test_middleware_of_the_sdk_runs_above_and_sees_one_attempt(
    flavour: Flavour, provide: Callable[[Answer], Provider], ours: Ours, engine: Engine
) -> None:
    provider = provide(one_after_another([error("overloaded_error", 529)], [reply(message())]))
    seen: list[int] = []

    def note(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        seen.append(response.status_code)
        return response

    async def note_async(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        seen.append(response.status_code)
        return response

    async def play() -> None:
        layer = note_async if flavour.is_async else note
        async with opened(flavour.sdk(provider.url, engine, middleware=[layer])) as sdk:
            await done(sdk.messages.create(**hello()))

    flavour.run(play)
    assert seen == [200]
    assert ours.outcomes() == ["overloaded", "ok"]


def test_a_transport_of_ones_own_goes_below_and_sees_every_attempt(
    flavour: Flavour, ours: Ours, engine: Engine
) -> None:
    seen: list[dict[str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(dict(request.headers))
        if len(seen) == 1:
            return httpx2.Response(
                500, json={"type": "error", "error": {"type": "api_error", "message": "No"}}
            )
        if b'"stream":true' in request.content:
            return httpx2.Response(
                200, headers={"content-type": "text/event-stream"}, content=b"".join(text_events())
            )
        return httpx2.Response(200, json=message())

    async def play() -> None:
        below = {"transport": httpx2.MockTransport(answer)}
        async with opened(flavour.sdk("http://no.such.host", engine, client_options=below)) as sdk:
            assert (await done(sdk.messages.create(**hello()))).content[0].text == "Hello there"
            async with opened(sdk.messages.stream(**hello())) as running:
                assert "".join(await everything(running.text_stream)) == "Hello there"

    flavour.run(play)
    assert ours.outcomes() == ["failed", "ok", "ok"]


def test_a_transport_is_paced_when_it_goes_into_a_client_of_ones_own(
    flavour: Flavour, provider: Provider, ours: Ours, engine: Engine
) -> None:
    async def play() -> None:
        mine: Any = (
            anthropic.DefaultAsyncHttpxClient(transport=headway.AsyncTransport(engine=engine))
            if flavour.is_async
            else anthropic.DefaultHttpxClient(transport=headway.Transport(engine=engine))
        )
        async with opened(flavour.bare(provider.url, http_client=mine)) as sdk:
            await done(sdk.messages.create(**hello()))

    flavour.run(play)
    assert len(ours.rows()) == 1


def test_event_hooks_of_the_client_run(flavour: Flavour, provider: Provider, engine: Engine) -> None:
    seen: list[str] = []

    async def note_async(thing: Any) -> None:
        seen.append(type(thing).__name__)

    async def play() -> None:
        hook = note_async if flavour.is_async else lambda thing: seen.append(type(thing).__name__)
        options = {"event_hooks": {"request": [hook], "response": [hook]}}
        async with opened(flavour.sdk(provider.url, engine, client_options=options)) as sdk:
            await done(sdk.messages.create(**hello()))

    flavour.run(play)
    assert seen == ["Request", "Response"]


def zipped(request: Request) -> Iterable[bytes | End]:
    """The API, compressing all it says."""
    if request.json.get("stream"):
        whole = gzip.compress(b"".join(text_events()))
        pieces = [whole[at : at + 40] for at in range(0, len(whole), 40)]
        return [stream_head(content_encoding="gzip"), *map(chunk, pieces), LAST_CHUNK]
    return [reply(gzip.compress(reply_body()), content_encoding="gzip")]


def reply_body() -> bytes:
    return reply(message()).partition(b"\r\n\r\n")[2]


def test_compressed_replies_are_read_and_handed_on(
    flavour: Flavour, provide: Callable[[Answer], Provider], ours: Ours, engine: Engine
) -> None:
    provider = provide(zipped)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            assert (await done(sdk.messages.create(**hello()))).content[0].text == "Hello there"
            async with opened(sdk.messages.stream(**hello())) as running:
                assert "".join(await everything(running.text_stream)) == "Hello there"

    flavour.run(play)
    assert [(row["outcome"], row["output_tokens"], row["estimated"]) for row in ours.rows()] == [
        ("ok", 7, 0)
    ] * 2


def test_errors_may_be_compressed(
    flavour: Flavour, provide: Callable[[Answer], Provider], engine: Engine
) -> None:
    body = gzip.compress(b'{"type":"error","error":{"type":"invalid_request_error","message":"Mine"}}')
    provider = provide(lambda _request: [reply(body, 400, content_encoding="gzip")])

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            with pytest.raises(anthropic.BadRequestError, match="Mine"):
                await done(sdk.messages.create(**hello()))

    flavour.run(play)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_is_followed_as_without_us(
    flavour: Flavour, status: int, provide: Callable[[Answer], Provider], engine: Engine
) -> None:
    def answer(request: Request) -> Iterable[bytes | End]:
        if request.path == "/v1/messages":
            return [reply(b"", status, location="/moved/v1/messages")]
        return as_the_api(Request(0, "POST", "/v1/messages", request.headers, request.body))

    provider = provide(answer)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            assert (await done(sdk.messages.create(**hello()))).content[0].text == "Hello there"

    flavour.run(play)
    assert [request.path for request in provider.requests] == ["/v1/messages", "/moved/v1/messages"]


def test_a_relay_with_a_path_is_paced_as_the_api_is(
    flavour: Flavour, provider: Provider, ours: Ours, engine: Engine
) -> None:
    def answer(request: Request) -> Iterable[bytes | End]:
        assert request.path.startswith("/team/relay/v1/")
        path = request.path.removeprefix("/team/relay")
        return as_the_api(Request(0, request.method, path, request.headers, request.body))

    provider.answer = answer

    async def play() -> None:
        async with opened(flavour.sdk(provider.url + "/team/relay", engine)) as sdk:
            await done(sdk.messages.create(**hello()))
            await done(sdk.messages.count_tokens(model="claude-opus-4-5", messages=hello()["messages"]))

    flavour.run(play)
    assert [row["pool"] for row in ours.rows()] == ["anthropic/opus-4", "anthropic/count_tokens"]


class Proxy:
    """A real HTTP proxy: takes requests for anywhere and sends them on."""

    def __init__(self) -> None:
        seen = self.seen = list[str]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                seen.append(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                with httpx2.Client(trust_env=False) as onward:
                    answer = onward.post(
                        self.path, content=body, headers={"content-type": "application/json"}
                    )
                self.send_response(answer.status_code)
                self.send_header("content-type", answer.headers["content-type"])
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *said: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(("spared", "through"), [("", 1), ("127.0.0.1", 0), ("*", 0), ("elsewhere.test", 1)])
def test_the_proxy_of_the_environment_is_used_unless_spared(
    flavour: Flavour,
    spared: str,
    through: int,
    proxy: Proxy,
    provider: Provider,
    ours: Ours,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("NO_PROXY", spared)
    monkeypatch.setenv("no_proxy", spared)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await done(sdk.messages.create(**hello()))

    flavour.run(play)
    assert len(proxy.seen) == through
    assert len(provider.requests) == len(ours.rows()) == 1


def test_the_environment_is_left_alone_where_one_says_so(
    provider: Provider, proxy: Proxy, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    ours = headway.client(engine=engine, trust_env=False)
    with anthropic.Anthropic(base_url=provider.url, api_key="any", http_client=ours) as sdk:
        sdk.messages.create(**hello())
    assert proxy.seen == []


def test_a_large_upload_is_not_held_in_memory(
    flavour: Flavour, provide: Callable[[Answer], Provider], engine: Engine
) -> None:
    """What draws on no limit goes by unread: its body is still a stream when it gets to the transport below."""
    streams: list[Any] = []

    def note(request: httpx2.Request) -> None:
        streams.append(hasattr(request, "_content"))

    class Below(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            note(request)
            return super().handle_request(request)

    class BelowAsync(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            note(request)
            return await super().handle_async_request(request)

    provider = provide(as_the_api)

    async def play() -> None:
        below = {"transport": BelowAsync() if flavour.is_async else Below()}
        async with opened(flavour.sdk(provider.url, engine, client_options=below)) as sdk:
            extra = {"headway-tags": "upload=1"}
            await done(sdk.files.upload(file=("a", b"x" * 1_000_000, "text/plain"), extra_headers=extra))

    flavour.run(play)
    assert streams == [False]
    assert len(provider.requests[0].body) > 1_000_000
    assert "headway-tags" not in provider.requests[0].headers


def test_a_streamed_body_of_a_message_may_carry_headers_for_headway(
    provider: Provider, ours: Ours, engine: Engine
) -> None:
    body = b'{"model": "claude-opus-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}'
    with headway.client(engine=engine) as http:
        answer = http.post(
            provider.url + "/v1/messages",
            content=(body[at : at + 10] for at in range(0, len(body), 10)),
            headers={"headway-session": "s"},
        )
    assert answer.status_code == 200
    assert provider.requests[0].body == body
    assert ours.rows()[0]["session"] == "s"


def test_a_stream_is_seen_as_it_comes_and_not_at_its_end(
    flavour: Flavour, provide: Callable[[Answer], Provider], engine: Engine
) -> None:
    go = threading.Event()

    def answer(_request: Request) -> Iterator[bytes | End]:
        parts = list(stream(text_events()))
        yield from parts[:5]
        go.wait(20.0)
        yield from parts[5:]

    provider = provide(answer)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            running = await done(sdk.messages.create(**hello(), stream=True))
            if flavour.is_async:
                async for event in running:
                    if event.type == "content_block_delta":
                        go.set()
            else:
                for event in running:
                    if event.type == "content_block_delta":
                        go.set()

    flavour.run(play)
    assert go.is_set()
