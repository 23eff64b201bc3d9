"""What is asked, as a request; what came back, as an answer or an error. No I/O."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import httpx2

from headway.config import Config, load
from headway.core.call import Fault, Problem, Usage
from headway.errors import ConfigError, ConnectionFailed, InputError, ProviderError
from headway.plain.connections import TRIPS, Trips
from headway.providers.faults import MALFORMED_REPLY, scrub
from headway.providers.whole import read_reply
from headway.runtime import Engine, shared
from headway.transport.inner import TIMEOUT

_AGENT = f"headway/{version('headway')}".encode()
_CUT = ("max_tokens", "model_context_window_exceeded")
_UNSENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `str(answer)` is its text.

    `cost_nanousd` is None where price or usage are not known. `waited_s` is how long it was not under way: in line and
    between tries; `attempts` how often it was sent. `message` is all that the API said, as it said it.
    """

    text: str
    stop_reason: str
    model: str
    usage: Usage
    cost_nanousd: int | None
    waited_s: float
    attempts: int
    request_id: str | None = None
    message: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.text

    @property
    def cost_usd(self) -> float | None:
        """The same in dollars, for eyes."""
        return None if self.cost_nanousd is None else self.cost_nanousd / 1e9

    @property
    def is_truncated(self) -> bool:
        """Whether it was cut off by `max_tokens` or by the window of the model."""
        return self.stop_reason in _CUT


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that can be sent, and what makes an answer or an error of its end."""

    engine: Engine
    config: Config
    body: bytes
    model: str
    timeout_s: float

    @staticmethod
    def of(
        prompt: object,
        model: str,
        max_tokens: int,
        system: str | None,
        engine: Engine | None,
        timeout: float | None,
    ) -> Asked:
        body = json.dumps(_request(prompt, model, max_tokens, system)).encode()
        seconds = (TIMEOUT.read or 600.0) if timeout is None else float(timeout)
        if not 0.0 < seconds < float("inf"):
            raise InputError(f"timeout must be more than 0 seconds, not {timeout!r}")
        config = load(os.environ) if engine is None else engine.config
        if not (config.api_key or config.auth_token):
            hint = "Set ANTHROPIC_API_KEY in the environment, or pass engine=headway.Engine(api_key=...)."
            raise ConfigError("no API key", hint=hint)
        return Asked(engine or shared(_origin(config.base_url)), config, body, model, seconds)

    def request(self, client: httpx2.Client | httpx2.AsyncClient, trips: Trips) -> httpx2.Request:
        return client.build_request(
            "POST",
            f"{self.config.base_url.rstrip('/')}/v1/messages",
            content=self.body,
            headers=[
                (b"content-type", b"application/json"),
                (b"user-agent", _AGENT),
                *self.config.headers(),
            ],
            timeout=httpx2.Timeout(self.timeout_s, connect=min(TIMEOUT.connect or 5.0, self.timeout_s)),
            extensions={TRIPS: trips},
        )

    def answer(self, response: httpx2.Response, trips: Trips) -> Answer:
        """What came back. Raises ProviderError if that is no message."""
        body = response.content
        headers = {name.lower(): value for name, value in response.headers.items()}
        headers.pop("x-should-retry", None)  # ours: it tells SDKs that this was tried often enough
        problem, usage, reason = read_reply(response.status_code, headers, body)
        message = {} if problem else json.loads(body)
        if problem is None and not isinstance(message.get("content"), list):
            problem = Problem(Fault.FAILED, MALFORMED_REPLY, "the reply is no message", response.status_code)
        if problem is not None:
            raise self._error(problem, trips)
        prices = self.engine.prices
        cost = None if usage is None else prices.cost(self.model, usage, time.time_ns()).nanousd
        usage = usage or Usage(model=str(message.get("model", self.model)))
        return Answer(
            text=_text(message),
            stop_reason=reason,
            model=usage.model or self.model,
            usage=usage,
            cost_nanousd=cost,
            waited_s=trips.waited_s,
            attempts=trips.attempts,
            request_id=headers.get("request-id"),
            message=message,
        )

    def failure(self, error: httpx2.RequestError) -> ConnectionFailed:
        """No reply, or only part of one."""
        place = _origin(self.config.base_url)
        sent = not isinstance(error, _UNSENT)
        if isinstance(error, httpx2.TimeoutException) and sent:
            text, hint = (
                f"no reply from {place} in {self.timeout_s:g} s",
                "Allow more with timeout=, or ask for less.",
            )
        else:
            text = f"no reply from {place}: {scrub(str(error)) or type(error).__name__}"
            hint = "Look at the network and at the base URL (ANTHROPIC_BASE_URL)."
        return ConnectionFailed(text, sent=sent, hint=hint)

    def _error(self, problem: Problem, trips: Trips) -> ProviderError:
        tries = f" (tried {trips.attempts} times)" if trips.attempts > 1 else ""
        status = "" if problem.status is None else f"{problem.status} "
        return ProviderError(
            f"{status}{problem.error_type}: {problem.message}{tries}",
            status=problem.status,
            error_type=problem.error_type,
            request_id=problem.request_id,
            hint=self._hint(problem),
        )

    def _hint(self, problem: Problem) -> str:
        """What to do next about an error of the API."""
        catalog = self.engine.catalog
        match problem.fault:
            case Fault.STOPPED if problem.status == 401:
                return "Check the key: ANTHROPIC_API_KEY, or ANTHROPIC_AUTH_TOKEN."
            case Fault.STOPPED if problem.status == 403:
                return "This key may not do that: check its workspace and permissions in the Console."
            case Fault.STOPPED:
                return (
                    "Look at the credit and the spend limits of this account in the Console, under billing."
                )
            case Fault.REJECTED if problem.status == 413:
                return "Shorten the prompt."
            case Fault.REJECTED if problem.status in (400, 404) and catalog.model(self.model) is None:
                near = catalog.nearest_model(self.model)
                return f"Did you mean {near}?" if near else "Check the name of the model."
            case Fault.REJECTED:
                return "The request cannot work as it is: the message says why."
            case Fault.RATE_LIMITED | Fault.RAMP_LIMITED:
                return (
                    "The quota is in use elsewhere: let other programs share this engine, or try again later."
                )
            case Fault.OVERLOADED | Fault.FAILED:
                return "It is the API, not the request: try again later."


def _request(prompt: object, model: str, max_tokens: int, system: str | None) -> dict[str, Any]:
    """The body of a call. Raises InputError for what cannot be one."""
    if not isinstance(model, str) or not model.strip():
        raise InputError("model is empty", hint='Name one, such as model="claude-opus-4-8".')
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
        raise InputError(f"max_tokens must be a whole number from 1, not {max_tokens!r}")
    request: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "messages": _messages(prompt)}
    if system is not None:
        request["system"] = system
    return request


def _messages(prompt: object) -> list[Mapping[str, Any]]:
    if isinstance(prompt, str):
        if not prompt.strip():
            raise InputError("the prompt is empty")
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, Sequence) or not prompt:
        raise InputError("the prompt is neither a text nor a list of messages")
    for number, message in enumerate(prompt):
        if not isinstance(message, Mapping) or not message.get("role") or not message.get("content"):
            raise InputError(f"message {number} of the prompt needs a role and content")
    return list(prompt)


def _text(message: Mapping[str, Any]) -> str:
    return "".join(
        block["text"]
        for block in message["content"]
        if isinstance(block, dict) and isinstance(block.get("text"), str)
    )


def _origin(base_url: str) -> str:
    url = httpx2.URL(base_url)
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
