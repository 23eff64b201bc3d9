"""The life of one call. Start reading here.

    Admit ──► Record(open) ──► Send ──► Settle ──► Record(entry) ──► done
      ▲                                                 │
      └──────────────── Pause ◄──── tried again ◄───────┘

The flow decides; a driver (threads, anyio, virtual time) acts on each step and sends the answer back in. Whatever happens
to the driver meanwhile (cancellation, a lost connection), an admitted ticket is settled exactly once.
"""

from __future__ import annotations

from collections.abc import Generator

from headway.core.call import Call, Fault, Usage
from headway.core.ports import Entry, OpenEntry
from headway.core.retry import Again, GiveUp, Retry
from headway.core.steps import (
    CANCELLED,
    Admit,
    Answer,
    Outcome,
    Pause,
    Record,
    Reply,
    Send,
    Sent,
    Settle,
    Step,
    Ticket,
)
from headway.errors import HeadwayError

Flow = Generator[Step, Answer, Outcome]


def flow(call: Call, retry: Retry, provider: str) -> Flow:
    """Run `call` to its end. Never raises for what the provider does: the outcome says it."""
    failures = refusals = number = 0
    usages: tuple[Usage, ...] = ()
    while True:
        number += 1
        admitted = yield Admit(call, number)
        if isinstance(admitted, HeadwayError):
            return Outcome(call, number - 1, error=admitted, refusals=refusals, usages=usages)
        assert isinstance(admitted, Ticket)
        yield Record(_opened(admitted, provider))
        try:
            sent = yield Send(admitted)
        except GeneratorExit:  # dropped by a driver that is gone itself; nothing is left to settle with
            raise
        except BaseException:  # cancelled: the provider may have begun, so the estimate stands
            yield (settle := _settlement(admitted, CANCELLED))
            yield Record(_closed(settle))
            raise
        assert isinstance(sent, Sent)
        yield (settle := _settlement(admitted, sent.reply))
        yield Record(_closed(settle))
        usages += (settle.usage,)
        problem = sent.reply.problem
        if problem is None:
            return Outcome(call, number, reply=sent.reply, refusals=refusals, usages=usages)
        if sent.reply.delivered:
            why = "part of its reply has been seen"
            return Outcome(call, number, sent.reply, problem, why=why, refusals=refusals, usages=usages)
        refused = problem.fault in (Fault.RATE_LIMITED, Fault.RAMP_LIMITED)
        refusals += refused
        failures += not refused
        match retry.decide(problem, call, failures, refusals, sent.now, sent.draw):
            case GiveUp(why):
                return Outcome(call, number, sent.reply, problem, why=why, refusals=refusals, usages=usages)
            case Again(wait_s):
                yield Pause(wait_s, problem)


def _settlement(ticket: Ticket, reply: Reply) -> Settle:
    """What one attempt took, by the provider's word or by ours, and how it ended."""
    usage, estimated = _usage(ticket, reply)
    problem = reply.problem
    outcome = "cancelled" if reply.cancelled else "ok" if problem is None else problem.fault.value
    return Settle(ticket, reply, usage, estimated, outcome)


def _closed(settle: Settle) -> Entry:
    reply, problem = settle.reply, settle.reply.problem
    return Entry(
        settle.ticket.id,
        settle.outcome,
        reply.status,
        problem.error_type if problem else "",
        reply.headers.get("request-id"),
        settle.usage,
        settle.estimated,
        None if reply.first_token_s is None else reply.first_token_s * 1000.0,
        reply.total_s * 1000.0,
        reply.stop_reason,
    )


def _usage(ticket: Ticket, reply: Reply) -> tuple[Usage, bool]:
    """What an attempt took. A reply that broke off after it began is billed, so it is counted by estimate."""
    if reply.usage is not None and reply.problem is None and not reply.cancelled:
        return reply.usage, False
    model = ticket.call.identity.model
    answered = reply.status is not None and reply.status >= 400
    if answered or not reply.sent:
        return Usage(model=model), False
    known = reply.usage or Usage(input_tokens=round(ticket.input_tokens), model=model)
    output = max(known.output_tokens, round(max(reply.produced, ticket.output_tokens)))
    return (
        Usage(
            input_tokens=known.input_tokens,
            cache_read_tokens=known.cache_read_tokens,
            cache_write_5m_tokens=known.cache_write_5m_tokens,
            cache_write_1h_tokens=known.cache_write_1h_tokens,
            output_tokens=output,
            model=known.model or model,
            raw=known.raw,
        ),
        True,
    )


def _opened(ticket: Ticket, provider: str) -> OpenEntry:
    call, estimate = ticket.call, ticket.call.estimate
    held_s = call.held_s if ticket.number == 1 else 0.0
    return OpenEntry(  # by position: cheaper than by name, and it is made for every attempt
        ticket.id,
        call.id,
        ticket.number,
        ticket.at_ns,
        provider,
        call.identity.pool or "",
        call.identity.model,
        call.tenant,
        call.class_,
        call.session,
        call.job,
        call.label,
        round(ticket.input_tokens),
        round(ticket.output_tokens),
        (ticket.queued_s + held_s) * 1000.0,
        call.stream,
        ticket.waited_for or ("in_flight" if held_s else ""),
        estimate.max_output_tokens,
        round(estimate.cacheable_tokens) if estimate.cacheable_tokens else 0,
        estimate.fingerprint,
    )
