"""What the sync and the async transport share about responses of httpx2."""

from __future__ import annotations

import httpx2

_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_CODED = (b"content-encoding", b"content-length")


def is_own_timeout(error: Exception) -> bool:
    """Whether the caller's own patience ended it: whether to try again is then the caller's to say."""
    return isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout)


def had_left(error: Exception) -> bool:
    """Whether something of the request may have reached the provider before the connection failed."""
    return not isinstance(error, _UNSENT)


def replace_body(
    response: httpx2.Response, stream: httpx2.SyncByteStream | httpx2.AsyncByteStream, *, decoded: bool
) -> httpx2.Response:
    """The same response around another stream. `decoded`: what was compressed is not any more."""
    if (
        not decoded and not response.is_closed
    ):  # else it was read already, and would be read from its own memory
        response.stream = stream  # nobody has read any of it through this object
        return response
    headers = [pair for pair in response.headers.raw if not decoded or pair[0].lower() not in _CODED]
    return httpx2.Response(
        response.status_code, headers=headers, stream=stream, extensions=response.extensions
    )


def final(response: httpx2.Response) -> httpx2.Response:
    """An error that was tried often enough: the SDK shall not try it again."""
    if response.status_code >= 400:
        response.headers["x-should-retry"] = "false"
    return response
