"""Anthropic: what a request to the Messages API draws on and takes, and what a reply means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from headway.core.call import Estimate, Identity, Problem, Reading, Usage
from headway.providers.catalog import Catalog
from headway.providers.faults import classify
from headway.providers.headers import read_limits
from headway.providers.past import Past
from headway.providers.sizing import size
from headway.providers.usage import read_usage

_LIMITED = re.compile(r"(?:^|/)v1/+messages(?:/+(?:(count_tokens)|(batches)(?:/.*)?))?/*\Z", re.DOTALL)


class Anthropic:
    """The seam `core.ports.Provider` for the first-party API. `salt` keys the names of cache prefixes, and of the cuts of
    fingerprints, which estimates have if `fingerprints` says so."""

    name = "anthropic"

    def __init__(
        self, catalog: Catalog | None = None, *, salt: bytes = b"", fingerprints: bool = False
    ) -> None:
        self.catalog = catalog or Catalog.load()
        self.salt = salt
        self._fingerprints = fingerprints
        self._past = Past()

    def identify(self, path: str, request: Mapping[str, Any]) -> Identity:
        """Messages draw on the pool of their model class; fast mode, counting and batches have pools of their own.

        Nothing else is limited by what headway meters: models, files, agents and the like get no pool. What stands
        before `/v1` in a path (a relay, a platform that hosts the API) and after `?` makes no difference.
        """
        asked = request.get("model")
        model = asked if isinstance(asked, str) else ""
        facts = self.catalog.model(model)
        endpoint = _endpoint(path)
        if endpoint == "messages":
            pool = facts.pool if facts else f"anthropic/{model or 'unknown'}"
            return Identity(
                f"{pool}/fast" if request.get("speed") == "fast" else pool, model, facts is not None
            )
        if endpoint == "count_tokens":
            return Identity("anthropic/count_tokens", model, facts is not None)
        if endpoint == "batches":
            return Identity("anthropic/batches", model)
        return Identity(None, model, facts is not None or not model)

    def estimate(self, request: Mapping[str, Any], body: bytes = b"") -> Estimate:
        """Size a request by a fit on recorded exchanges; see `sizing`, and `past` for what `body` is good for."""
        model = request.get("model")
        facts = self.catalog.model(model) if isinstance(model, str) else None
        return size(
            request,
            facts,
            self.salt,
            fingerprint=self._fingerprints,
            body=body,
            past=self._past if body else None,
        )

    def read_limits(self, headers: Mapping[str, str]) -> tuple[Reading, ...]:
        """Requests, input tokens, output tokens; see `headers` for what is left alone."""
        return read_limits(headers)

    def read_usage(self, body: bytes) -> Usage | None:
        """From JSON or a verbatim SSE stream; see `usage`."""
        return read_usage(body)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Problem | None:
        """By status, error type and code; see `faults`."""
        return classify(status, headers, body)


@lru_cache(maxsize=256)
def _endpoint(path: str) -> str:
    """Which of the endpoints with limits a path, or a whole URL, ends in: "messages", "count_tokens", "batches" or ""."""
    match = _LIMITED.search(path.partition("?")[0])
    return (match[match.lastindex] if match.lastindex else "messages") if match else ""
