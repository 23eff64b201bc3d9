"""The bytes of a request head, built once, and refused if they could smuggle another one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from headway.errors import InputError

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HOST = re.compile(
    r"[0-9A-Za-z_][0-9A-Za-z._~-]*|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*"
)  # international names: in their xn-- form
_TARGET = re.compile(r"/[!-~]*")
_CONTROLS = bytes([*range(9), *range(10, 32), 127])
_OURS = {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
    b"upgrade",
    b"te",
    b"trailer",
}
_LOOKS = "A base URL looks like https://host or http://host:port/path."
_BODY_EXPECTED = {"POST", "PUT", "PATCH"}


class Origin:
    """Where requests go: scheme, host, port and a path put before each request's own. Errors: InputError."""

    def __init__(self, base_url: str) -> None:
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError:
            raise InputError(_LOOKS) from None
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or port == 0 or _HOST.fullmatch(host) is None:
            raise InputError(_LOOKS)
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise InputError("A base URL has no user, password, query or fragment.")
        self.tls = parts.scheme == "https"
        self.host = host
        self.port = port or (443 if self.tls else 80)
        shown = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == (443 if self.tls else 80)
        authority = shown if default else f"{shown}:{self.port}"
        self.name = f"{parts.scheme}://{authority}"
        self._prefix = parts.path.rstrip("/")
        if _TARGET.fullmatch(self._prefix + "/") is None:
            raise InputError(_LOOKS)
        self._host_line = f" HTTP/1.1\r\nHost: {authority}".encode("ascii")
        self._kinds: dict[bytes, bytes] = {}

    def head(
        self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]], length: int | None
    ) -> bytes:
        """The request line and the headers, with what HTTP needs added. `length` of the body in bytes, None: in chunks."""
        target = self._prefix + path
        if _TARGET.fullmatch(target) is None or not path.startswith("/"):
            raise InputError(
                "A request path starts with / and has no spaces, control or non-ASCII characters."
            )
        if not (method.isascii() and method.isalpha()):
            raise InputError("A request method is a word.")
        lines = [f"{method} {target}".encode("ascii") + self._host_line]
        kinds = set()
        for name, value in headers:
            kinds.add(self._kinds.get(name) or self._kind(name))
            lines.append(name + b": " + value)
        if b"accept" not in kinds:
            lines.append(b"Accept: */*")
        if b"accept-encoding" not in kinds:
            lines.append(b"Accept-Encoding: identity")
        if length is None:
            lines.append(b"Transfer-Encoding: chunked")
        elif length or method in _BODY_EXPECTED:
            lines.append(b"Content-Length: %d" % length)
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        if (
            len(head) - len(head.translate(None, _CONTROLS)) != 2 * len(lines) + 4
        ):  # one line break more is ours
            raise InputError("A header value holds a line break or another control character.")
        return head

    def _kind(self, name: bytes) -> bytes:
        """The lower-case name, if it may be sent."""
        kind = name.lower()
        if _TOKEN.fullmatch(name) is None:
            raise InputError("A header name holds characters that HTTP does not allow.")
        if kind in _OURS:
            raise InputError(f"The header {kind.decode()} is set by the connection, not by the caller.")
        if len(self._kinds) < 1024:
            self._kinds[name] = kind
        return kind
