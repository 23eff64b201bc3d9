"""The limits of your own organisation, as the Admin API tells them, and models as the API lists them.

`GET /v1/organizations/rate_limits` needs an Admin key (not one of a workspace). It tells what is configured, never what is
left. Kinds of groups and limiters that we do not know are kept as they are. What was told is kept in the ledger, so that
later commands know it without the key. Source: the anthropic SDK 2.12.0, types/organization.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from headway.errors import ConfigError, ConnectionFailed, HeadwayError, InputError, LedgerError, ProviderError
from headway.ledger.file import open_file, read_file
from headway.wire.request import Origin

if TYPE_CHECKING:  # a tenth of a second: only when something is asked
    import httpx2

PATIENCE_S, CONNECT_S = 10.0, 3.0
_MOST_PAGES = 100
_PAGE = 200
_LIVE_FIELDS = ("max_input_tokens", "max_tokens", "lifecycle", "deprecated_at", "retires_at")


@dataclass(frozen=True, slots=True)
class Group:
    """Limits that are counted together. `kind` is "model_group", "batch", "token_count", or another that we do not know.

    `limits` are by the API's own names, such as "output_tokens_per_minute".
    """

    kind: str
    name: str
    models: tuple[str, ...]
    limits: Mapping[str, int] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Live:
    """A model as the API lists it now. None and empty: it does not say."""

    id: str
    context_tokens: int | None
    max_output_tokens: int | None
    status: str
    deprecated: str
    retires: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The organisation's limits as they were told at `at_ns` (wall time, ns since 1970 UTC)."""

    groups: tuple[Group, ...]
    at_ns: int


class Api:
    """Asks one API. `key` is sent as `x-api-key`, a token (`bearer`) as such; it is shown nowhere.

    Raises ConfigError for an address or a key that cannot be used.
    """

    def __init__(self, base_url: str, key: str, version: str, *, bearer: bool = False) -> None:
        _check(base_url, key)
        self._base = base_url.rstrip("/")
        credential = {"authorization": f"Bearer {key}"} if bearer else {"x-api-key": key}
        self._headers = {**credential, "anthropic-version": version}

    def rate_limits(self) -> tuple[Group, ...]:
        """The limits of the organisation. ProviderError, ConnectionFailed: they could not be had."""
        with _client(self._headers) as client:
            return tuple(_group(entry) for entry in self._pages(client, "/v1/organizations/rate_limits"))

    def models(self) -> tuple[Live, ...]:
        """The models that the API lists. ProviderError, ConnectionFailed: they could not be had."""
        with _client(self._headers) as client:
            return tuple(_live(entry) for entry in self._pages(client, "/v1/models"))

    def _pages(self, client: httpx2.Client, path: str) -> Iterator[Mapping[str, Any]]:
        """Every entry of every page; both ways of the API to point to the next one."""
        ask: dict[str, str] = {"limit": str(_PAGE)}
        for _ in range(_MOST_PAGES):
            page = self._get(client, path, ask)
            yield from (entry for entry in _list(page.get("data")) if isinstance(entry, dict))
            if following := page.get("next_page"):
                ask = {"limit": str(_PAGE), "page": str(following)}
            elif page.get("has_more") and page.get("last_id"):
                ask = {"limit": str(_PAGE), "after_id": str(page["last_id"])}
            else:
                return

    def _get(self, client: httpx2.Client, path: str, ask: Mapping[str, str]) -> dict[str, Any]:
        import httpx2

        try:
            reply = client.get(f"{self._base}{path}", params=dict(ask))
        except httpx2.HTTPError as error:
            why = f"{urlsplit(self._base).hostname} does not answer ({type(error).__name__})"
            raise ConnectionFailed(why, sent=True, hint="Check the network and base_url.") from None
        if reply.status_code != 200:
            raise _refused(path, reply.status_code, reply.headers.get("request-id"))
        try:
            return msgspec.json.decode(reply.content, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise ProviderError(
                f"GET {path} answered what is no JSON object", status=200, error_type="malformed"
            ) from None


def keep(path: Path, base_url: str, groups: tuple[Group, ...], at_ns: int) -> None:
    """Keep what was told in the ledger at `path`. LedgerError: it cannot be written."""
    value = {
        "at_ns": at_ns,
        "groups": [
            {"kind": each.kind, "name": each.name, "models": list(each.models), "limits": dict(each.limits)}
            for each in groups
        ],
    }
    try:
        with closing(open_file(path)) as db:
            db.execute(
                "INSERT OR REPLACE INTO learnt VALUES (?, ?, ?)",
                (_key(base_url), msgspec.json.encode(value).decode(), at_ns),
            )
    except sqlite3.Error as error:
        raise LedgerError(f"cannot write the ledger {path}: {error}") from error


def recall(path: Path, base_url: str) -> Kept | None:
    """What was told last of the API at `base_url`. None: nothing was, or it is not to be read."""
    if not path.exists():
        return None
    try:
        with closing(read_file(path)) as db:
            row = db.execute("SELECT value FROM learnt WHERE key = ?", (_key(base_url),)).fetchone()
        value = msgspec.json.decode(row[0], type=dict[str, Any]) if row else None
        if value is None:
            return None
        groups = (
            Group(
                str(each["kind"]),
                str(each["name"]),
                tuple(map(str, each["models"])),
                {str(kind): int(amount) for kind, amount in each["limits"].items()},
            )
            for each in value["groups"]
        )
        return Kept(tuple(groups), int(value["at_ns"]))
    except (
        HeadwayError,
        sqlite3.Error,
        msgspec.DecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ):
        return None


def _key(base_url: str) -> str:
    return f"organisation/{base_url.rstrip('/')}"


def _check(base_url: str, key: str) -> None:
    try:
        origin = Origin(base_url)
    except InputError as error:
        raise ConfigError("the base URL cannot be used", hint=str(error)) from None
    near = origin.host in ("localhost", "::1") or origin.host.startswith("127.")
    if not origin.tls and not near:
        raise ConfigError(
            f"a key is not sent to {origin.host} without encryption", hint="Use https in base_url."
        )
    if not key or any(not "!" <= character <= "~" for character in key):
        raise ConfigError("the key holds characters that no key has", hint="Copy it again.")


def _client(headers: Mapping[str, str]) -> httpx2.Client:
    import httpx2

    patience = httpx2.Timeout(PATIENCE_S, connect=CONNECT_S)
    return httpx2.Client(headers=dict(headers), timeout=patience, follow_redirects=False)


def _refused(path: str, status: int, request_id: str | None) -> ProviderError:
    hint = {
        401: "It needs an Admin key of the organisation; a key of a workspace does not work.",
        403: "The key may not read this. It needs an Admin key of the organisation.",
        404: "This API does not have it: individual accounts and other platforms do not.",
        429: "Too many requests just now: try again in a minute.",
    }
    if not path.startswith("/v1/organizations"):
        hint |= {401: "The key of the API is not accepted.", 403: "The key may not read this."}
    return ProviderError(
        f"GET {path} answered {status}",
        status=status,
        error_type="",
        request_id=request_id,
        hint=hint.get(status, "Try again later; what is published is shown meanwhile."),
    )


def _group(entry: Mapping[str, Any]) -> Group:
    group = entry.get("group")
    group = group if isinstance(group, dict) else {"type": str(group or "")}
    limits = {
        str(each["type"]): each["value"]
        for each in _list(entry.get("limits"))
        if isinstance(each, dict) and type(each.get("value")) is int and "type" in each
    }
    models = tuple(str(model) for model in _list(entry.get("models")))
    kind = str(group.get("type") or "")
    return Group(kind, str(group.get("display_name") or group.get("id") or kind), models, limits)


def _live(entry: Mapping[str, Any]) -> Live:
    window, most, status, deprecated, retires = (entry.get(name) for name in _LIVE_FIELDS)
    return Live(
        str(entry.get("id") or ""),
        window if type(window) is int and window > 0 else None,
        most if type(most) is int and most > 0 else None,
        str(status or ""),
        str(deprecated or "")[:10],
        str(retires or "")[:10],
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
