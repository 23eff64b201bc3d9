"""Runs the calls that draw on a limit: in line, to the provider, tried again unseen, and their replies to the client."""

from __future__ import annotations

import time
from typing import Any

from msgspec import structs

from headway.core.call import Call, Identity
from headway.core.steps import Outcome
from headway.drivers.aio import AioDriver
from headway.errors import BudgetExceeded, ConnectionFailed, HeadwayError, WouldWaitTooLong
from headway.exchange.asked import call_of, draws_tokens
from headway.exchange.scope import Scope
from headway.gateway import record
from headway.gateway.budgets import Budgets
from headway.gateway.head import TRAILER, Head
from headway.gateway.keys import Key
from headway.gateway.lanes import Lanes, bound_of
from headway.gateway.refusal import Answer, refusal
from headway.gateway.rights import AT_ONCE_S, check_call
from headway.gateway.sending import Sending, Streaming, with_key
from headway.gateway.standing import Standing, Standings
from headway.gateway.wiring import Gone, Send, deliver
from headway.providers.parsed import parse_object
from headway.runtime import Engine
from headway.wire import Client

POOLS_KEPT = 100  # of models that the catalog does not know; a client can name any number of them
_LONGEST_MODEL = 100
_OTHER = "anthropic/other"
_BATCHES = "anthropic/batches"
_RESULTS = b"/v1/messages/batches/"


class Calls:
    """One engine's calls through one client."""

    def __init__(
        self,
        engine: Engine,
        client: Client,
        credentials: list[tuple[bytes, bytes]],
        standings: Standings,
        budgets: Budgets | None,
    ) -> None:
        self._engine = engine
        self._client = client
        self._credentials = credentials
        self._standings = standings
        self._budgets = budgets
        self._lanes = Lanes()

    async def run(self, head: Head, key: Key, scope: Scope, body: bytes, send: Send) -> bool:
        """Run one to its end; whether it was not refused here. Raises HeadwayError if it cannot even stand in line."""
        request = parse_object(body)
        call = self._call(head, key, scope, request or {}, body)
        check_call(key, head, call.identity.pool or "", request, body)
        del request  # of those who wait there may be thousands
        standing = self._standings.calls[call.id] = _standing(call, key)
        try:
            if key.most_in_flight is None:
                return await self._send(call, 0.0, head, standing, body, send)
            waited_s = await self._enter(call, key, standing)
            try:
                return await self._send(_less(call, waited_s), waited_s, head, standing, body, send)
            finally:
                self._lanes.leave(key)
        except (
            WouldWaitTooLong
        ) as error:  # for others of its key: those in line have no error, but an outcome
            self._engine.turnstile.refused(call, error)
            holders = self._standings.holders(key=key.id)
            await deliver(refusal(error, call_id=call.id, holders=holders), send)
            return False
        finally:
            del self._standings.calls[call.id]

    async def _enter(self, call: Call, key: Key, standing: Standing) -> float:
        """Wait until the key has a place for one more call; for how long that was, seconds."""
        if not self._lanes.is_full(key):
            await self._lanes.enter(key, 0.0)
            return 0.0
        standing.limit, standing.is_held = bound_of(key), True
        began = time.monotonic()
        try:
            await self._lanes.enter(key, self._patience(call))
        finally:
            standing.is_held = False
            waited_s = time.monotonic() - began
            record.held_back(waited_s)
        return waited_s

    async def _send(
        self, call: Call, waited_s: float, head: Head, standing: Standing, body: bytes, send: Send
    ) -> bool:
        engine = self._engine
        headers = with_key(head.headers, self._credentials, has_version=head.has_version)
        sending = Sending(engine, self._client, head.method, head.target, headers, body)
        sending.queued_s = waited_s

        def admitted() -> None:
            standing.is_sent = True

        driver = AioDriver(engine.turnstile, sending, provider=engine.provider.name, retry=engine.retry)
        outcome = await driver.begin(call, admitted)
        if sending.body is None:
            answer = self._whole(call, outcome, sending, standing)
            await deliver(self._here(answer, head) if standing.pool == _BATCHES else answer, send)
        else:
            trailer = head.ours.get(TRAILER, "0") == "1"
            await _stream(sending.body, _told(call, sending, standing), standing, send, trailer=trailer)
        return outcome is None or outcome.error is None

    def _call(self, head: Head, key: Key, scope: Scope, request: dict[str, Any], body: bytes) -> Call:
        call = call_of(head.path, request, scope, self._engine, body)
        identity = self._known(call.identity)
        caps, budgets = call.caps, self._budgets
        if (
            budgets is not None and caps
        ):  # of a session, which is one of its tenant: others may have one of that name
            caps = tuple(budgets.asked(key, call.session, cap) for cap in caps)
        if budgets is not None and key.budgets and draws_tokens(identity):
            caps += budgets.caps(key, call.session, identity.model, call.job, time.time_ns())
        if key.weight == 1.0 and identity is call.identity and not caps:
            return call
        return structs.replace(call, identity=identity, weight=key.weight, caps=caps)

    def _known(self, identity: Identity) -> Identity:
        """The pool of a call; one for all models that nobody knows, once there are too many of them."""
        pools = self._engine.core.pools
        if identity.known or identity.pool in pools:
            return identity
        model = identity.model
        if len(model) <= _LONGEST_MODEL and model.isprintable() and len(pools) < POOLS_KEPT:
            return identity
        return Identity(_OTHER, model[:_LONGEST_MODEL], known=False)

    def _patience(self, call: Call) -> float:
        ends = [] if call.max_wait_s is None else [call.max_wait_s]
        if call.deadline is not None:
            ends.append(call.deadline - self._engine.turnstile.clock())
        return max(min(ends), 0.0) if ends else float("inf")

    def _whole(self, call: Call, outcome: Outcome | None, sending: Sending, standing: Standing) -> Answer:
        """The reply to a call that is over."""
        assert outcome is not None
        if outcome.error is not None:
            holders = self._standings.holders(pool=call.identity.pool or "")
            clears_s = self._clears_s(call, outcome.error)
            return refusal(outcome.error, call_id=call.id, holders=holders, clears_s=clears_s)
        told = _told(call, sending, standing)
        if sending.error is not None:
            return _also(refusal(sending.error), told)
        answer = sending.answer
        assert answer is not None
        if outcome.problem is not None:
            answer = _final(answer)
        elif standing.cost is not None:
            told.append((b"headway-cost-usd", _dollars(standing.cost)))
        return _also(answer, told)

    def _here(self, answer: Answer, head: Head) -> Answer:
        """A batch names the address of its results, to which SDKs go: let that be here, where their key is known."""
        ours = (b"https://" if head.is_tls else b"http://") + head.host
        theirs = self._engine.config.base_url.rstrip("/").encode()
        body = answer.body.replace(theirs + _RESULTS, ours + _RESULTS)
        return answer if body is answer.body else Answer(answer.status, answer.headers, body)

    def _clears_s(self, call: Call, error: HeadwayError) -> float | None:
        """When a budget that is used up has room again, seconds from now; None: nobody knows."""
        if self._budgets is None or not isinstance(error, BudgetExceeded):
            return None
        now = time.time_ns()
        found = [self._budgets.clears_ns(cap, now) for cap in call.caps if cap.name == error.budget]
        known = [at_ns for at_ns in found if at_ns is not None]
        return max((max(known) - now) / 1e9, 0.0) if known else None


def _less(call: Call, waited_s: float) -> Call:
    """The call with what is left of its patience, and with what it was held."""
    if not waited_s:
        return call
    left_s = None if call.max_wait_s is None else max(call.max_wait_s - waited_s, AT_ONCE_S)
    return structs.replace(call, max_wait_s=left_s, held_s=waited_s)


async def _stream(
    body: Streaming, told: list[tuple[bytes, bytes]], standing: Standing, send: Send, *, trailer: bool
) -> None:
    """Bring a reply to the client as it comes; the client's pace is the provider's."""
    try:
        await send({"type": "http.response.start", "status": body.status, "headers": [*body.headers, *told]})
        async for chunk in body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        last = b""
        if trailer and body.is_events and standing.cost is not None:
            last = b": headway-cost-usd=%s\n\n" % _dollars(standing.cost)
        await send({"type": "http.response.body", "body": last})
    except ConnectionFailed:
        raise Gone from None  # some of it has been seen: what is missing must show
    finally:
        await body.end()


def _standing(call: Call, key: Key) -> Standing:
    identity = call.identity
    return Standing(identity.pool or "", call.tenant, identity.model, call.session, key.id, time.monotonic())


def _told(call: Call, sending: Sending, standing: Standing) -> list[tuple[bytes, bytes]]:
    """What headway says of a call in the head of its reply."""
    told = [
        (b"headway-call-id", call.id.encode()),
        (b"headway-queued-ms", b"%d" % round(sending.queued_s * 1000.0)),
    ]
    if standing.limit:
        told.append((b"headway-limit", standing.limit.encode()))
    ticket = sending.ticket
    if ticket is not None:
        told.append(
            (b"headway-estimate", b"input=%d, output=%d" % (ticket.input_tokens, ticket.output_tokens))
        )
    return told


def _also(answer: Answer, more: list[tuple[bytes, bytes]]) -> Answer:
    return Answer(answer.status, [*answer.headers, *more], answer.body)


def _final(answer: Answer) -> Answer:
    """An error that was tried often enough: the client shall not try it again."""
    kept = [pair for pair in answer.headers if pair[0] != b"x-should-retry"]
    return Answer(answer.status, [*kept, (b"x-should-retry", b"false")], answer.body)


def _dollars(nanodollars: int) -> bytes:
    return b"%d.%09d" % divmod(nanodollars, 10**9)
