"""The admin API: what the gateway does now, as JSON, for eyes and programs. On its own port, with its own token.

| method and path | answers |
|---|---|
| GET /headway/v1/state | version, uptime, limits and what binds, who waits for what, tenants, last refusals, spend today |
| GET /headway/v1/tenants | what each tenant has in flight and took since the start |
| GET /headway/v1/budgets | budgets: cap, spent, held |
| GET /headway/v1/usage?by=model&since=24h | the ledger, as `headway usage --json` |
| GET /headway/v1/keys | virtual keys, without their secrets |
| POST /headway/v1/reload | read the keys again |
| GET /metrics | Prometheus |

It changes nothing but by `reload`. Who does not show the token gets 401 for every path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from secrets import token_urlsafe
from typing import Any, get_args

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from headway.core.limit import parse_duration
from headway.errors import ConfigError, HeadwayError, InputError, LimitError, MachineError
from headway.gateway.budgets import Budgets
from headway.gateway.counts import DAY_NS
from headway.gateway.keys import Keys
from headway.gateway.metrics import Metrics
from headway.gateway.state import VERSION, State, look
from headway.gateway.tally import Tally, tenants_of
from headway.ledger.report import By, usage
from headway.ledger.sqlite import SqliteLedger
from headway.runtime import Engine

SHORTEST = 16  # characters of a token
_TENANTS, _BUDGETS = 50, 50  # in the state; their own lists have all


def token_of(environment: Mapping[str, str]) -> tuple[str, bool]:
    """The token of the admin API: HEADWAY_ADMIN_TOKEN, or a new one; and whether it is new, to be shown once.

    Raises ConfigError for one that can be guessed.
    """
    token = environment.get("HEADWAY_ADMIN_TOKEN", "").strip()
    if not token:
        return token_urlsafe(24), True
    if len(token) < SHORTEST:
        raise ConfigError(
            f"HEADWAY_ADMIN_TOKEN has {len(token)} characters",
            hint=f"At least {SHORTEST}: openssl rand -base64 24",
        )
    return token, False


def admin_app(
    engine: Engine,
    keys: Keys,
    token: str,
    *,
    tally: Tally,
    metrics: Metrics,
    reload: Callable[[], object] | None = None,
    budgets: Budgets | None = None,
    more: Callable[[], dict[str, Any]] | None = None,
) -> ASGIApp:
    """The application. `reload` reads everything again that can be (default: the keys); `budgets` knows when they clear;
    `more` tells what else there is to say of the gateway: "served" and "refused" are counts of requests."""
    admin = _Admin(engine, keys, tally, metrics, reload or keys.reload, budgets, more)
    routes = [
        Route("/headway/v1/state", admin.state),
        Route("/headway/v1/tenants", admin.tenants),
        Route("/headway/v1/budgets", admin.budgets),
        Route("/headway/v1/usage", admin.usage),
        Route("/headway/v1/keys", admin.keys),
        Route("/headway/v1/reload", admin.reload, methods=["POST"]),
        Route("/metrics", admin.show_metrics),
    ]
    return _Guard(Starlette(routes=routes, exception_handlers={HeadwayError: _failed}), token)


class _Guard:
    """Lets nobody in without the token. What is compared has one length, so the time tells nothing."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._digest = sha256(token.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_shown(scope):
            refusal = {"error": {"type": "authentication_error", "message": "the admin token is needed"}}
            response = _json(refusal, 401, {"www-authenticate": "Bearer"})
            return await response(scope, receive, send)
        return await self._app(scope, receive, send)

    def _is_shown(self, scope: Scope) -> bool:
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        kind, _, token = (shown[0] if len(shown) == 1 else b"").partition(b" ")
        return compare_digest(sha256(token.strip()).digest(), self._digest) and kind.lower() == b"bearer"


class _Admin:
    """Answers."""

    def __init__(
        self,
        engine: Engine,
        keys: Keys,
        tally: Tally,
        metrics: Metrics,
        reload: Callable[[], object],
        budgets: Budgets | None,
        more: Callable[[], dict[str, Any]] | None,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._tally = tally
        self._metrics = metrics
        self._reload = reload
        self._budgets = budgets
        self._more = more

    async def state(self, _: Request) -> Response:
        state, tally = self._look(), self._tally
        now_ns = time.time_ns()
        answer = {
            "version": VERSION,
            "at_ns": now_ns,
            "uptime_s": (now_ns - tally.started_ns) / 1e9,
            "upstream": self._engine.config.base_url.rpartition("@")[2],
            "in_flight": state.in_flight,
            "waiting": state.waiting,
            "pools": state.pools,
            "budgets": state.budgets[:_BUDGETS],
            "tenants": tenants_of(self._metrics.counts)[:_TENANTS],
            "refusals": tally.refusals(),
            "spent_today_nanousd": self._metrics.counts.spent_on(now_ns // DAY_NS),
            "ledger_problem": self._engine.ledger.problem,
        }
        if self._more is not None:
            answer["gateway"] = self._more()
        return _json(answer)

    async def tenants(self, _: Request) -> Response:
        return _json({"tenants": tenants_of(self._metrics.counts)})

    async def budgets(self, _: Request) -> Response:
        return _json({"budgets": self._look().budgets})

    async def usage(self, request: Request) -> Response:
        ledger = self._engine.ledger
        if not isinstance(ledger, SqliteLedger):
            raise InputError("no ledger is kept", hint='Name one in the settings: ledger = "usage.sqlite3".')
        by, since = request.query_params.get("by", "model"), request.query_params.get("since", "24h")
        found = next((known for known in get_args(By) if known == by), None)
        if found is None:
            raise InputError(f"cannot group by {by[:40]!r}", hint=f"One of: {', '.join(get_args(By))}.")
        since_ns = _since_ns(since, time.time_ns())
        return _json(await run_in_threadpool(usage, ledger.path, found, since_ns))

    async def keys(self, _: Request) -> Response:
        return _json({"keys": self._keys.all()})

    async def reload(self, _: Request) -> Response:
        await run_in_threadpool(self._reload)
        return _json({"keys": len(self._keys.all())})

    def _look(self) -> State:
        """The engine as it stands, with all that is known of its budgets."""
        levels = () if self._budgets is None else self._budgets.levels(time.time_ns())
        clears = {(level.name, level.unit): level.clears_ns for level in levels}
        state = look(self._engine)
        budgets = (replace(each, clears_ns=clears.get((each.budget, each.unit))) for each in state.budgets)
        return replace(state, budgets=tuple(budgets))

    async def show_metrics(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        more = {} if self._more is None else self._more()
        requests: dict[str, int] = {
            answer: more[answer] for answer in ("served", "refused") if answer in more
        }
        page, kind = self._metrics.page(self._engine, self._tally.started_ns, accept, requests)
        return Response(page, headers={"content-type": kind, "cache-control": "no-store"})


def _since_ns(text: str, now_ns: int) -> int:
    """`all`, `24h`, `7d`, or an ISO date (UTC), as nanoseconds since 1970 UTC."""
    if text == "all":
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        ago = parse_duration(text[:40], of="since")
        return max(0, now_ns - round(ago * 1e9))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, round(moment.timestamp() * 1e9))


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HeadwayError)
    match error:
        case InputError():
            status = 400
        case LimitError():
            status = 429
        case MachineError():
            status = 503
        case _:
            status = 500
    said = {"type": type(error).__name__, "message": str(error), "hint": error.hint}
    return _json({"error": said}, status)


def _json(answer: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    fixed = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    body = msgspec.json.encode(_named(msgspec.to_builtins(answer)))
    return Response(body, status, {**fixed, **(headers or {})}, media_type="application/json")


def _named(answer: Any) -> Any:
    """Without the underscore of names that are words of Python: `class_`."""
    match answer:
        case dict():
            return {name.rstrip("_"): _named(value) for name, value in answer.items()}
        case list() | tuple():
            return [_named(value) for value in answer]
        case _:
            return answer
