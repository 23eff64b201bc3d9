from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from headway.errors import ConnectionFailed, InputError
from headway.wire import Client, Timeouts

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def fetch(client: Client, body: bytes = b"{}") -> bytes:
    reply = await client.send("POST", "/v1/messages", [(b"x-api-key", b"k")], body)
    return await reply.read()


def test_a_reply_has_status_reason_headers_and_body(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(OK), Client(peer.url + "/base") as client:
            reply = await client.send("POST", "/x?y=1", [(b"X-Api-Key", b"k")], b"hello")
            assert (reply.status, reply.reason, reply.headers) == (200, "OK", {"content-length": "2"})
            assert await reply.read() == b"ok"
            assert peer.seen[0].startswith(b"POST /base/x?y=1 HTTP/1.1\r\n")
            assert peer.bodies == [b"hello"]

    run(main())


def test_a_reply_that_drips_in_byte_by_byte_is_whole(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(*(OK[at : at + 1] for at in range(len(OK)))), Client(peer.url) as client:
            for _ in range(3):
                assert await fetch(client) == b"ok"
            assert peer.met == 1

    run(main())


def test_the_connection_used_last_is_used_next(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(OK), Client(peer.url) as client:
            await asyncio.gather(*(fetch(client) for _ in range(5)))
            assert (peer.met, client.open_connections, client.idle_connections) == (5, 5, 5)
            last = next(reversed(client._pool.idle))
            for _ in range(4):
                await fetch(client)
                assert next(reversed(client._pool.idle)) is last
            assert peer.met == 5

    run(main())


def test_a_reply_to_head_has_no_body(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"), Client(peer.url) as client:
            for _ in range(2):
                reply = await client.send("HEAD", "/", [], b"")
                assert reply.headers["content-length"] == "50"
                assert await reply.read() == b""
            assert peer.met == 1

    run(main())


def test_a_body_without_length_ends_with_the_connection(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with (
            peer.replies(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def", close=True),
            Client(peer.url) as client,
        ):
            assert await fetch(client) == b"abcdef"
            await peer.until(lambda: client.open_connections == client.idle_connections)
            assert client.open_connections == 0

    run(main())


def test_close_ends_calls_in_flight_and_those_that_wait(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies():
            client = Client(peer.url, max_connections=2)
            calls = [asyncio.ensure_future(fetch(client)) for _ in range(5)]
            await peer.until(lambda: len(peer.seen) == 2)
            await client.close()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(result, ConnectionFailed) for result in results)
            assert [result.sent for result in results] == [True, True, False, False, False]  # type: ignore[union-attr]
            assert client.open_connections == 0
            with pytest.raises(ConnectionFailed):
                await fetch(client)

    run(main())


# TLS


def test_a_connection_that_opens_after_close_is_closed(run: Any, peer: Any) -> None:
    ended = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        ended.set()

    async def main() -> None:
        async with peer.serve(listen):
            client = Client(peer.url)
            call = asyncio.ensure_future(fetch(client))
            await peer.until(lambda: client.open_connections == 1)
            await client.close()
            with pytest.raises(ConnectionFailed) as caught:
                await call
            assert not caught.value.sent
            await ended.wait()

    run(main())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key."""
    openssl = which("openssl")
    if openssl is None:
        pytest.skip("the openssl program is not there to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [openssl, "req", "-x509", *options, "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_a_certificate_of_a_known_authority_is_accepted(
    run: Any, peer: Any, certificate: tuple[Path, Path]
) -> None:
    async def main() -> None:
        known = ssl.create_default_context(cafile=certificate[0])
        async with (
            peer.serve(_answer(peer), server_side(certificate)),
            Client(f"https://localhost:{peer.port}", ssl_context=known) as client,
        ):
            assert await fetch(client, b"x" * 2_000_000) == b"ok"
            for _ in range(3):
                assert await fetch(client) == b"ok"
            assert peer.met == 1

    run(main())


def test_the_authorities_of_ssl_cert_file_are_used(
    run: Any, peer: Any, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    async def main() -> None:
        async with (
            peer.serve(_answer(peer), server_side(certificate)),
            Client(f"https://localhost:{peer.port}") as client,
        ):
            assert await fetch(client) == b"ok"

    run(main())


@pytest.mark.parametrize(("host", "known"), [("localhost", False), ("127.0.0.1", True)])
def test_an_unknown_certificate_or_a_wrong_name_is_refused(
    run: Any, peer: Any, certificate: tuple[Path, Path], host: str, known: bool
) -> None:
    async def main() -> None:
        context = ssl.create_default_context(cafile=certificate[0]) if known else None
        async with (
            peer.serve(_answer(peer), server_side(certificate)),
            Client(f"https://{host}:{peer.port}", ssl_context=context) as client,
        ):
            with pytest.raises(ConnectionFailed, match="certificate") as caught:
                await fetch(client)
            assert not caught.value.sent
            assert "SSL_CERT_FILE" in caught.value.hint
            assert (peer.seen, client.open_connections) == ([], 0)

    run(main())


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL])
@pytest.mark.parametrize("names", [True, False])
def test_a_context_that_does_not_verify_is_refused(mode: ssl.VerifyMode, names: bool) -> None:
    lax = ssl.create_default_context()
    if mode is ssl.CERT_NONE and names:
        pytest.skip("Python itself refuses to check names without certificates")
    lax.check_hostname = names
    lax.verify_mode = mode
    with pytest.raises(InputError):
        Client("https://localhost", ssl_context=lax)


def test_tls_spoken_to_a_plain_port_fails_unsent(run: Any, peer: Any) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def main() -> None:
        async with peer.serve(plain), Client(f"https://127.0.0.1:{peer.port}") as client:
            with pytest.raises(ConnectionFailed, match="TLS") as caught:
                await fetch(client)
            assert not caught.value.sent
            assert client.open_connections == 0

    run(main())


def test_a_tls_handshake_that_nobody_answers_ends_in_time(run: Any, peer: Any) -> None:
    async def main() -> None:
        limits = Timeouts(connect=0.05)
        async with peer.replies(), Client(f"https://127.0.0.1:{peer.port}", limits=limits) as client:
            with pytest.raises(ConnectionFailed, match=r"longer than 0\.05 s"):
                await fetch(client)
            assert client.open_connections == 0

    run(main())


def _answer(peer: Any) -> Any:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await peer.request(reader)
            writer.write(OK)

    return answer
