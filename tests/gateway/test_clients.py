"""Programs as people have them, through one gateway, in front of the emulated provider: the official SDK, curl, node."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from gateway.conftest import Serve
from gateway.serving import BODY, STREAM, Serving
from gateway.test_rights import write_keys
from headway.core.call import Class
from headway.testing.emulated import Emulator
from transport.provider import Provider
from transport.replies import BATCH, http

PATIENCE_S = 60
ASKED: dict[str, Any] = {
    "model": "claude-opus-4-8",
    "max_tokens": 30,
    "messages": [{"role": "user", "content": "Say something."}],
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("claude-opus-4/tier-4?ttft=10ms&speed=5000&seed=3") as running:
        yield running


@pytest.fixture
def keyed(start: Serve, emulator: Emulator, tmp_path: Path) -> tuple[Serving, str]:
    """A gateway, and a key for it."""
    path, secret = write_keys(tmp_path / "keys.json", "app", tenant="search", class_=Class.INTERACTIVE)
    return start(emulator.url, keys=path, is_open=False), secret


def test_the_official_sdk(keyed: tuple[Serving, str], emulator: Emulator) -> None:
    serving, secret = keyed
    with anthropic.Anthropic(base_url=serving.url, api_key=secret) as client:
        with_us = client.messages.create(**ASKED)
        with client.messages.stream(**ASKED) as stream:
            text = "".join(stream.text_stream)
            streamed = stream.get_final_message()
        counted = client.messages.count_tokens(model=ASKED["model"], messages=ASKED["messages"])
        models = [model.id for model in client.models.list()]
    assert text == streamed.content[0].text == with_us.content[0].text  # type: ignore[union-attr]  # text is asked for
    assert streamed.usage.output_tokens == with_us.usage.output_tokens
    assert counted.input_tokens > 0
    assert "claude-opus-4-8" in models
    rows = serving.rows()
    assert [row["outcome"] for row in rows] == ["ok"] * 4
    assert {row["tenant"] for row in rows} == {"search"}
    stats = emulator.stats()
    assert sum(row["output_tokens"] for row in rows) == stats["tokens"]["output_tokens"]


def test_the_official_sdk_sees_what_headway_says(keyed: tuple[Serving, str]) -> None:
    serving, secret = keyed
    with anthropic.Anthropic(base_url=serving.url, auth_token=secret, api_key=None) as client:
        raw = client.messages.with_raw_response.create(**ASKED, extra_headers={"headway-session": "s"})
    assert raw.parse().usage.output_tokens > 0
    assert raw.headers["headway-call-id"]
    assert float(raw.headers["headway-cost-usd"]) > 0


def test_the_official_sdk_on_asyncio(keyed: tuple[Serving, str]) -> None:
    serving, secret = keyed

    async def ask() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=serving.url, api_key=secret) as client:

            async def whole() -> str:
                return str((await client.messages.create(**ASKED)).content[0].text)

            async def streamed() -> str:
                async with client.messages.stream(**ASKED) as stream:
                    return "".join([text async for text in stream.text_stream])

            return await asyncio.gather(*[whole() if number % 2 else streamed() for number in range(20)])

    texts = asyncio.run(ask())
    assert len(texts) == 20
    assert len(set(texts)) == 1


def test_the_official_sdk_raises_what_headway_refuses_and_does_not_try_again(
    keyed: tuple[Serving, str], emulator: Emulator
) -> None:
    serving, secret = keyed
    with anthropic.Anthropic(base_url=serving.url, api_key=secret) as client:
        with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
            client.messages.create(**(ASKED | {"max_tokens": 10**7}), timeout=60)
        said = {"headway-session": "poor", "headway-budget": "1 request"}
        client.messages.create(**ASKED, extra_headers=said)
        with pytest.raises(anthropic.APIStatusError) as spent:
            client.messages.create(**ASKED, extra_headers=said)
        assert spent.value.status_code == 402
    with (
        anthropic.Anthropic(base_url=serving.url, api_key="hw-app-wrong") as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(**ASKED)
    assert (serving.gateway.state().served, serving.gateway.state().refused) == (1, 3)
    assert emulator.stats()["completed"] == 1


def test_the_official_sdk_finds_the_results_of_a_batch_here(start: Serve, provider: Provider) -> None:
    path = "/v1/messages/batches/msgbatch_1"
    line = {"custom_id": "a", "result": {"type": "canceled"}}
    provider.answer = lambda request: [
        http(json.dumps(line).encode() + b"\n", kind="application/x-jsonl")
        if request.path.endswith("results")
        else http(BATCH | {"results_url": f"{provider.url}{path}/results"})
    ]
    serving = start()
    with anthropic.Anthropic(base_url=serving.url, api_key="any") as client:
        assert [entry.custom_id for entry in client.messages.batches.results("msgbatch_1")] == ["a"]
    assert len(serving.rows()) == 2


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def run(*command: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_curl
@pytest.mark.parametrize("more", [[], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]])
def test_curl(keyed: tuple[Serving, str], more: list[str]) -> None:
    serving, secret = keyed
    url, key = f"{serving.url}/v1/messages", f"x-api-key: {secret}"
    reply = run("curl", "-sf", url, "-H", key, *more, "--data-binary", "@-", stdin=BODY)
    assert json.loads(reply)["usage"]["output_tokens"] > 0
    stream = run("curl", "-sfN", url, "-H", key, *more, "--data-binary", "@-", stdin=STREAM)
    assert stream.endswith(b'data: {"type":"message_stop"}\n\n')


@needs_curl
def test_curl_with_a_large_body(keyed: tuple[Serving, str]) -> None:
    serving, secret = keyed
    large = json.dumps(ASKED | {"messages": [{"role": "user", "content": "word " * 100_000}]}).encode()
    reply = run(
        "curl",
        "-sf",
        f"{serving.url}/v1/messages",
        "-H",
        f"x-api-key: {secret}",
        "--data-binary",
        "@-",
        stdin=large,
    )
    assert json.loads(reply)["usage"]["input_tokens"] > 50_000


NODE = """
const [url, key] = process.argv.slice(1);
const ask = (stream) => fetch(url + "/v1/messages", {
  method: "POST",
  headers: {authorization: "Bearer " + key, "content-type": "application/json", "headway-class": "bulk"},
  body: JSON.stringify({model: "claude-opus-4-8", max_tokens: 30, stream,
                        messages: [{role: "user", content: "Say something."}]}),
});
const whole = await (await ask(false)).json();
const reply = await ask(true);
const decoder = new TextDecoder();
let text = "";
for await (const chunk of reply.body) text += decoder.decode(chunk, {stream: true});
console.log(JSON.stringify({
  output: whole.usage.output_tokens, ended: text.trimEnd().endsWith('{"type":"message_stop"}'),
  call: reply.headers.get("headway-call-id"),
}));
"""


@needs_node
def test_node(keyed: tuple[Serving, str]) -> None:
    serving, secret = keyed
    said = json.loads(run("node", "--input-type=module", "-e", NODE, serving.url, secret))
    assert said["output"] > 0
    assert said["ended"]
    assert [row["class"] for row in serving.rows()] == ["bulk", "bulk"]
    assert said["call"] == serving.rows()[1]["call_id"]
