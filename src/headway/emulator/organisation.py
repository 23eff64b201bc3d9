"""The provider's side of one customer: takes a request, decides at once and for good what will become of it.

Pure but for its own state: times are arguments, nothing is sent from here. `api` carries the decisions out.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qs

from headway.emulator.answers import Answer, Clerk, HangUp, Serving, identity
from headway.emulator.books import Books
from headway.emulator.cache import InputUsage, Lookup, PromptCache
from headway.emulator.checks import Asked, Rejected, check_headers, check_window, key_in, read_request
from headway.emulator.pool import Load, Pool
from headway.emulator.profile import Profile
from headway.emulator.prompt import Prompt, read_prompt
from headway.emulator.ramp import Ramp
from headway.emulator.replies import Message
from headway.emulator.reports import Reports
from headway.emulator.script import INSTEAD, Mishap, Script, draw_mishap, write_script
from headway.emulator.tiers import MODELS, Limits, Model, find_model

_Fields = Mapping[bytes, bytes]


class Organisation:
    """Pools, cache, caps and books of one customer. Monotonic times in seconds; `at_utc` is seconds since 1970."""

    def __init__(self, profile: Profile, now: float, instance: str = "") -> None:
        self.profile = profile
        self._clerk = Clerk(instance)
        self._fragile = any(getattr(profile, mishap.value) for mishap in Mishap)
        self.reset(now)

    def reset(self, now: float) -> None:
        """Forget everything: full buckets, empty cache, empty books. Request ids go on."""
        profile = self.profile
        self.books = Books()
        self._reports = Reports()
        self._cache = PromptCache(profile.minute_s)
        self._ramp = (
            None if profile.ramp is None else Ramp(profile.ramp, profile.ramp_floor, profile.minute_s)
        )
        self._seen: dict[bytes, int] = {}
        self._pools = {profile.model_class: Pool(profile, profile.limits, now)}
        self._counting = Pool(profile, Limits(requests=profile.limits.count_requests), now)

    def message(self, headers: _Fields, body: bytes, now: float, at_utc: float) -> Answer | HangUp | Serving:
        """Decide on `POST /v1/messages`."""
        self.books.arrive(now)
        request_id = self._clerk.next_id()
        try:
            asked = read_request(body, check_headers(headers, self.profile), self.profile)
            prompt = read_prompt(asked.request, self.profile.seed)
            check_window(asked, prompt)
        except Rejected as no:
            return self.reject(no, request_id)
        digest = blake2b(body, digest_size=16).digest()
        mishap = self._mishap(digest, asked.stream)
        instead = self._instead(request_id, now, mishap)
        if instead is not None:
            return instead
        script = self._script(asked, prompt, digest, headers, mishap)
        marker = headers.get(b"emulator-marker", b"").decode("latin-1") or _user_id(asked.request)
        decision = self._admit(request_id, asked, prompt, script, marker, now, at_utc)
        if isinstance(decision, Serving):
            billed = decision.message.usage, decision.message.script.output_tokens
            self._reports.note(at_utc, asked.model.id, key_in(headers), *billed)
        return decision

    def count(self, headers: _Fields, body: bytes, now: float) -> Answer:
        """Decide on `POST /v1/messages/count_tokens`."""
        request_id = self._clerk.next_id()
        try:
            asked = read_request(body, check_headers(headers, self.profile), self.profile, counting=True)
        except Rejected as no:
            return self.reject(no, request_id)
        load = Load(0, 0, 0, 0, now, now)
        refusal = self._counting.refuse(load, now)
        if refusal is not None:
            return self._clerk.rate_limited(request_id, refusal, asked.model.id, [])
        self._counting.charge(load, now)
        self.books.counted += 1
        tokens = read_prompt(asked.request, self.profile.seed).tokens
        return self._clerk.answer(request_id, {"input_tokens": tokens})

    def models(self, headers: _Fields, name: str = "") -> Answer:
        """Decide on `GET /v1/models` and `GET /v1/models/{name}`."""
        request_id = self._clerk.next_id()
        try:
            check_headers(headers, self.profile)
            if not name:
                ends = {"first_id": MODELS[0].id, "last_id": MODELS[-1].id, "has_more": False}
                return self._clerk.answer(
                    request_id, {"data": [_described(model) for model in MODELS]} | ends
                )
            model = find_model(name)
            if model is None:
                raise Rejected(404, "not_found_error", f"model: {name}")
            return self._clerk.answer(request_id, _described(model))
        except Rejected as no:
            return self.reject(no, request_id)

    def usage_report(self, headers: _Fields, query: bytes, now_utc: float) -> Answer:
        """Decide on `GET /v1/organizations/usage_report/messages`."""
        request_id = self._clerk.next_id()
        try:
            check_headers(headers, self.profile)
            asked = parse_qs(query.decode("latin-1"))
            return self._clerk.answer(request_id, self._reports.usage(asked, now_utc))
        except Rejected as no:
            return self.reject(no, request_id)

    def reject(self, no: Rejected, request_id: str = "") -> Answer:
        """The answer to a request that will never be taken as it is."""
        self.books.rejected[no.error_type] += 1
        return self._clerk.rejected(request_id or self._clerk.next_id(), no)

    def stats(self, now: float, *, markers: bool = False) -> dict[str, Any]:
        """The books and the levels, as JSON values."""
        levels = {name: pool.levels(now) for name, pool in self._pools.items()}
        return self.books.show(markers) | {"levels": levels}

    def _mishap(self, digest: bytes, stream: bool) -> Mishap | None:
        if not self._fragile:
            return None
        attempt = self._seen[digest] = self._seen.get(digest, 0) + 1
        return draw_mishap(self.profile, digest, attempt, stream)

    def _instead(self, request_id: str, now: float, mishap: Mishap | None) -> Answer | HangUp | None:
        """What comes before the buckets are asked: no money left, too steep a ramp, a mishap. It charges nothing."""
        if self._is_spent():
            self.books.stopped["spend_cap"] += 1
            return self._clerk.spent(request_id)
        wait_s = self._ramp.wait_s(now) if self._ramp else 0.0
        if wait_s:
            self.books.rate_limited["ramp"] += 1
            return self._clerk.too_fast(request_id, wait_s)
        if mishap not in INSTEAD:
            return None
        self.books.faults[mishap.value] += 1
        if mishap is Mishap.RESET:
            return HangUp()
        if mishap is Mishap.OVERLOADED:
            return self._clerk.error(request_id, 529, "overloaded_error", "Overloaded")
        return self._clerk.error(request_id, 500, "api_error", "Internal server error")

    def _is_spent(self) -> bool:
        cap = self.profile.spend_cap
        if cap is None:
            return False
        return (self.books.admitted if cap.unit == "requests" else self.books.spent_usd) >= cap.amount

    def _script(
        self, asked: Asked, prompt: Prompt, digest: bytes, headers: _Fields, mishap: Mishap | None
    ) -> Script:
        room, full = asked.model.window - prompt.tokens, "max_tokens"
        ceiling = int(asked.request["max_tokens"])
        if room < ceiling:
            ceiling, full = room, "model_context_window_exceeded"
        steered = headers.get(b"emulator-output-tokens", b"")
        wanted = int(steered) if steered.isdigit() else None
        return write_script(self.profile, digest, ceiling, full, wanted, mishap)

    def _admit(
        self,
        request_id: str,
        asked: Asked,
        prompt: Prompt,
        script: Script,
        marker: str,
        now: float,
        at_utc: float,
    ) -> Answer | Serving:
        pool = self._pool(asked.model, now)
        lookup = self._cache.look(asked.model, prompt, now)
        load = _load(lookup, script, int(asked.request["max_tokens"]), now)
        refusal = pool.refuse(load, now)
        if refusal is not None:
            self.books.rate_limited[refusal.unit] += 1
            pool.count_refusal(now)
            return self._clerk.rate_limited(request_id, refusal, asked.model.id, pool.headers(now, at_utc))
        pool.charge(load, now)
        self._cache.keep(lookup, now, load.starts_at)
        self._book(asked.model, lookup.usage, script, marker, now)
        message = _message(request_id, asked, lookup.usage, script)
        shown = [*identity(request_id), *pool.headers(now, at_utc)]
        return Serving(
            shown,
            message,
            asked.stream,
            load.starts_at,
            load.ends_at,
            marker,
            self.profile.stall_s,
            self.books,
        )

    def _book(self, model: Model, usage: InputUsage, script: Script, marker: str, now: float) -> None:
        self.books.admit(marker, now)
        self.books.spent_usd += _cost_usd(model, usage, script.output_tokens)
        if script.mishap is not None:
            self.books.faults[script.mishap.value] += 1
        if self._ramp is not None:
            self._ramp.admit(now)

    def _pool(self, model: Model, now: float) -> Pool:
        pool = self._pools.get(model.pool)
        if pool is None:
            pool = self._pools[model.pool] = Pool(self.profile, self.profile.limits_of(model.pool), now)
        return pool


def _load(lookup: Lookup, script: Script, ceiling: int, now: float) -> Load:
    charged = lookup.usage.charged
    starts_at = now + script.ttft_s
    ends_at = starts_at + script.produced_s
    estimated = charged * (1.0 + script.estimate_error)
    return Load(estimated, charged, ceiling, script.output_tokens, starts_at, ends_at)


def _message(request_id: str, asked: Asked, usage: InputUsage, script: Script) -> Message:
    thinking = asked.request.get("thinking")
    thinks = isinstance(thinking, Mapping) and thinking.get("type") in ("enabled", "adaptive")
    return Message(f"msg_{request_id}", asked.model.id, usage, script, thinks, _forced_tool(asked.request))


def _forced_tool(request: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    choice = request.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("type") not in ("any", "tool"):
        return None
    tools = request.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, Mapping) and choice.get("name", tool.get("name")) == tool.get("name"):
            schema = tool.get("input_schema")
            return str(tool.get("name")), schema if isinstance(schema, Mapping) else {}
    return None


def _user_id(request: Mapping[str, Any]) -> str:
    metadata = request.get("metadata")
    user_id = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    return user_id if isinstance(user_id, str) else ""


def _cost_usd(model: Model, usage: InputUsage, output_tokens: int) -> float:
    """Roughly what the account would pay; only the spend cap looks at it."""
    as_input = usage.fresh + 1.25 * usage.write_5m + 2.0 * usage.write_1h + 0.1 * usage.read
    return (as_input * model.prices[0] + output_tokens * model.prices[1]) / 1e6


def _described(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": model.window,
        "max_tokens": model.max_output,
    }
