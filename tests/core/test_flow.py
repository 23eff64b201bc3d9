"""Rules of the life of one call, step by step, as a plain generator; no driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Call, Estimate, Fault, Problem, Usage
from headway.core.flow import Flow, flow
from headway.core.ports import Entry, OpenEntry
from headway.core.retry import Retry
from headway.core.steps import Admit, Answer, Outcome, Pause, Record, Reply, Send, Sent, Settle, Step, Ticket
from headway.errors import HeadwayError, WouldWaitTooLong
from world import a_call

OK = Reply(
    200,
    {"request-id": "req_1"},
    message={},
    usage=Usage(100, output_tokens=50),
    total_s=2.0,
    first_token_s=0.5,
)


def broken(fault: Fault, *, status: int | None = None, **reply: Any) -> Reply:
    return Reply(status, {}, problem=Problem(fault, f"{fault}_type", "message", status), **reply)


REFUSED = broken(Fault.RATE_LIMITED, status=429)
OVERLOADED = broken(Fault.OVERLOADED, status=529)
REJECTED = broken(Fault.REJECTED, status=400)
NEVER_LEFT = broken(Fault.FAILED, sent=False)
CUT = broken(Fault.FAILED, status=200, produced=30.0)
TOO_LONG = WouldWaitTooLong("too long", limit="requests", level=0.0, wait_s=9.0)


def ticket(call: Call, number: int, *, input_tokens: float = 90.0, output_tokens: float = 40.0) -> Ticket:
    return Ticket(f"{call.id}-{number}", call, number, 0.25, 10.0, 1_000, input_tokens, output_tokens)


@dataclass
class Driver:
    """Answers each step from a script of replies, and writes down what it was asked."""

    replies: list[Reply | HeadwayError]
    steps: list[Step] = field(default_factory=list)

    def run(self, running: Flow) -> Outcome:
        answer: Answer = None
        while True:
            try:
                step = running.send(answer)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                return outcome
            self.steps.append(step)
            answer = self.answer(step)

    def answer(self, step: Step) -> Answer:
        match step:
            case Admit(call, number):
                if isinstance(self.replies[0], HeadwayError):
                    return self.replies.pop(0)  # type: ignore[return-value]  # just narrowed, in a list
                return ticket(call, number)
            case Send():
                reply = self.replies.pop(0)
                assert isinstance(reply, Reply)
                return Sent(reply, 20.0, 0.5)
        return None

    def of(self, kind: type) -> list[Any]:
        return [step for step in self.steps if isinstance(step, kind)]


def run(
    *replies: Reply | HeadwayError, call: Call | None = None, retry: Retry | None = None
) -> tuple[Outcome, Driver]:
    driver = Driver(list(replies))
    return driver.run(flow(call or a_call(), retry or Retry(), "anthropic")), driver


def names(driver: Driver) -> list[str]:
    return [type(step).__name__ for step in driver.steps]


ONE_TRY = ["Admit", "Record", "Send", "Settle", "Record"]


def test_a_call_that_is_answered_takes_each_step_once() -> None:
    outcome, driver = run(OK)
    assert names(driver) == ONE_TRY
    assert outcome == Outcome(a_call(), 1, reply=OK, usages=(OK.usage,) if OK.usage else ())


def test_a_call_that_is_not_admitted_takes_no_further_step() -> None:
    outcome, driver = run(TOO_LONG)
    assert names(driver) == ["Admit"]
    assert outcome.error is TOO_LONG
    assert outcome.attempts == 0
    assert outcome.reply is None


@pytest.mark.parametrize("first", [REFUSED, OVERLOADED, CUT, NEVER_LEFT])
def test_a_call_that_fails_pauses_and_goes_through_the_line_again(first: Reply) -> None:
    outcome, driver = run(first, OK)
    assert names(driver) == [*ONE_TRY, "Pause", *ONE_TRY]
    assert [step.number for step in driver.of(Admit)] == [1, 2]
    assert outcome.attempts == 2
    assert outcome.problem is None
    assert len(outcome.usages) == 2


@pytest.mark.parametrize("fault", [Fault.REJECTED, Fault.STOPPED])
def test_a_final_answer_of_the_provider_is_the_outcome(fault: Fault) -> None:
    reply = broken(fault, status=400)
    outcome, driver = run(reply)
    assert names(driver) == ONE_TRY
    assert outcome.problem == reply.problem
    assert outcome.reply is reply
    assert outcome.why


def test_a_retry_that_is_refused_in_line_ends_with_that_error_and_counts_only_what_was_sent() -> None:
    outcome, driver = run(OVERLOADED, TOO_LONG)
    assert names(driver) == [*ONE_TRY, "Pause", "Admit"]
    assert outcome.error is TOO_LONG
    assert outcome.attempts == 1


def test_tries_that_never_succeed_end_with_the_last_problem() -> None:
    outcome, driver = run(*[OVERLOADED] * 4, retry=Retry(retries=3))
    assert outcome.attempts == 4
    assert outcome.problem == OVERLOADED.problem
    assert len(driver.of(Pause)) == 3


def test_refusals_by_a_limit_are_counted_apart_from_failures() -> None:
    outcome, _ = run(REFUSED, REFUSED, OVERLOADED, OK, retry=Retry(retries=1))
    assert outcome.refusals == 2
    assert outcome.attempts == 4
    assert outcome.problem is None


def test_the_pause_says_how_long_and_why() -> None:
    refused = Reply(429, {}, problem=Problem(Fault.RATE_LIMITED, "t", "m", 429, retry_after_s=7.0))
    _, driver = run(refused, OK)
    assert driver.of(Pause) == [Pause(7.0, refused.problem)]  # type: ignore[arg-type]  # it has one


# --- what is settled ----------------------------------------------------------------------------------------------


def settled(reply: Reply) -> Settle:
    _, driver = run(reply, *([OK] if reply.problem else []))
    first: Settle = driver.of(Settle)[0]
    return first


def test_what_the_provider_says_it_took_is_settled_as_it_is() -> None:
    settle = settled(OK)
    assert settle.usage is OK.usage
    assert not settle.estimated


@pytest.mark.parametrize("reply", [REFUSED, OVERLOADED, REJECTED, NEVER_LEFT])
def test_an_attempt_that_was_answered_with_an_error_or_never_left_took_nothing(reply: Reply) -> None:
    settle = settled(reply)
    assert settle.usage == Usage(model="model")
    assert not settle.estimated


def test_a_reply_that_broke_off_is_settled_by_estimate_and_says_so() -> None:
    settle = settled(CUT)
    assert settle.estimated
    assert settle.usage.input_tokens == 90
    assert settle.usage.output_tokens == 40


def test_a_reply_that_broke_off_late_is_settled_by_what_came() -> None:
    settle = settled(broken(Fault.FAILED, status=200, produced=300.0))
    assert settle.estimated
    assert settle.usage.output_tokens == 300


def test_what_a_broken_reply_said_of_its_input_is_believed() -> None:
    known = Usage(
        11, cache_read_tokens=22, cache_write_5m_tokens=33, cache_write_1h_tokens=44, output_tokens=1
    )
    settle = settled(broken(Fault.FAILED, status=200, produced=300.0, usage=known))
    usage = settle.usage
    assert (usage.input_tokens, usage.cache_read_tokens) == (11, 22)
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (33, 44)
    assert usage.output_tokens == 300
    assert usage.model == "model"
    assert settle.estimated


def test_a_lost_connection_after_sending_is_settled_by_estimate() -> None:
    settle = settled(broken(Fault.FAILED))
    assert settle.estimated
    assert settle.usage.output_tokens == 40


def test_a_reply_without_usage_is_settled_by_estimate() -> None:
    settle = settled(Reply(200, {}, message={}))
    assert settle.estimated
    assert settle.usage.input_tokens == 90


# --- what is recorded ---------------------------------------------------------------------------------------------


def test_each_attempt_is_opened_before_it_is_sent_and_closed_after() -> None:
    call = a_call("c", tenant="t", job="j", stream=True)
    _, driver = run(OVERLOADED, OK, call=call)
    records = [step.entry for step in driver.of(Record)]
    assert [type(each) for each in records] == [OpenEntry, Entry, OpenEntry, Entry]
    assert [each.attempt_id for each in records] == ["c-1", "c-1", "c-2", "c-2"]
    opened = records[0]
    assert isinstance(opened, OpenEntry)
    assert (opened.call_id, opened.number, opened.provider, opened.pool) == ("c", 1, "anthropic", "pool")
    assert (opened.tenant, opened.job, opened.stream, opened.queued_ms, opened.at_ns) == (
        "t",
        "j",
        True,
        250.0,
        1000,
    )
    assert (opened.estimated_input_tokens, opened.estimated_output_tokens) == (90, 40)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (OK, "ok"),
        (REFUSED, "rate_limited"),
        (OVERLOADED, "overloaded"),
        (CUT, "failed"),
        (REJECTED, "rejected"),
    ],
)
def test_the_entry_says_how_the_attempt_ended(reply: Reply, outcome: str) -> None:
    _, driver = run(reply, OK)
    entry = driver.of(Record)[1].entry
    assert entry.outcome == outcome
    assert entry.status == reply.status
    assert entry.error_type == (reply.problem.error_type if reply.problem else "")


def test_times_are_recorded_in_milliseconds_and_the_request_id_as_it_came() -> None:
    _, driver = run(OK)
    entry = driver.of(Record)[1].entry
    assert (entry.first_token_ms, entry.total_ms, entry.request_id) == (500.0, 2000.0, "req_1")


# --- cancellation -------------------------------------------------------------------------------------------------


class Cancelled(BaseException):
    """As asyncio's: not an Exception."""


def until_send(call: Call) -> Flow:
    running = flow(call, Retry(), "anthropic")
    assert isinstance(running.send(None), Admit)
    assert isinstance(running.send(ticket(call, 1)), Record)
    assert isinstance(running.send(None), Send)
    return running


@pytest.mark.parametrize("error", [Cancelled, KeyboardInterrupt, TimeoutError])
def test_a_call_cancelled_while_sending_is_settled_and_recorded_once_and_raises_on(
    error: type[BaseException],
) -> None:
    running = until_send(a_call())
    settle = running.throw(error())
    assert isinstance(settle, Settle)
    assert settle.estimated
    assert (settle.usage.input_tokens, settle.usage.output_tokens) == (90, 40)
    record = running.send(None)
    assert isinstance(record, Record)
    assert isinstance(record.entry, Entry)
    assert record.entry.outcome == "cancelled"
    with pytest.raises(error):
        running.send(None)
    with pytest.raises(StopIteration):
        running.send(None)


def test_a_call_cancelled_in_line_has_nothing_to_settle() -> None:
    running = flow(a_call(), Retry(), "anthropic")
    running.send(None)
    with pytest.raises(Cancelled):
        running.throw(Cancelled())


def test_a_call_cancelled_while_pausing_has_nothing_left_to_settle() -> None:
    running = until_send(a_call())
    assert isinstance(running.send(Sent(OVERLOADED, 0.0, 0.0)), Settle)
    assert isinstance(running.send(None), Record)
    assert isinstance(running.send(None), Pause)
    with pytest.raises(Cancelled):
        running.throw(Cancelled())


@pytest.mark.parametrize("advance", [id, next])
def test_a_flow_that_is_dropped_ends_quietly(advance: Callable[[Flow], object]) -> None:
    running = flow(a_call(), Retry(), "anthropic")
    advance(running)
    running.close()
    until_send(a_call()).close()


# --- properties ---------------------------------------------------------------------------------------------------

REPLIES = st.one_of(
    st.just(OK),
    st.builds(
        lambda fault, status, sent, produced, after: Reply(
            status,
            {},
            problem=Problem(fault, "type", "message", status, retry_after_s=after),
            sent=sent,
            produced=produced,
        ),
        st.sampled_from(list(Fault)),
        st.sampled_from([None, 200, 400, 429, 500, 529]),
        st.booleans(),
        st.floats(0.0, 5000.0),
        st.one_of(st.none(), st.floats(0.0, 100.0)),
    ),
)


@given(
    st.lists(st.one_of(REPLIES, st.just(TOO_LONG)), min_size=1, max_size=12),
    st.one_of(st.none(), st.floats(0.0, 60.0)),
    st.one_of(st.none(), st.integers(0, 11)),
)
def test_every_admitted_ticket_is_settled_exactly_once_before_anything_else_happens(
    replies: list[Reply | HeadwayError], max_wait_s: float | None, cancelled_at: int | None
) -> None:
    """Whatever comes back, and wherever sending is cancelled."""
    call = a_call(max_wait_s=max_wait_s, estimate=Estimate(100.0, 1000))
    driver, running = (
        Driver([*replies, *[REJECTED] * 50]),
        flow(call, Retry(retries=3, refusals=5), "anthropic"),
    )
    holding: Ticket | None = None
    opened: str | None = None
    sends = 0
    answer: Answer = None
    try:
        step = running.send(None)
        while True:
            match step:
                case Admit():
                    assert holding is None
                    assert opened is None
                    answer = driver.answer(step)
                    holding = answer if isinstance(answer, Ticket) else None
                case Send(sent):
                    assert sent is holding
                    assert opened == sent.id
                    sends += 1
                    if sends - 1 == cancelled_at:
                        step = running.throw(Cancelled())
                        assert isinstance(step, Settle)
                        continue
                    answer = driver.answer(step)
                case Settle(given_back, _, usage, _):
                    assert given_back is holding
                    assert min(usage.input_tokens, usage.output_tokens) >= 0
                    holding, answer = None, None
                case Record(OpenEntry() as entry):
                    assert opened is None
                    opened, answer = entry.attempt_id, None
                case Record(Entry() as entry):
                    assert opened == entry.attempt_id
                    opened, answer = None, None
                case Pause(seconds):
                    assert holding is None
                    assert seconds >= 0.0
                    answer = None
            step = running.send(answer)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        assert outcome.attempts == sends
        assert len(outcome.usages) == sends
        assert [outcome.error is not None, outcome.problem is not None, outcome.reply is not None] != [
            False
        ] * 3
    except Cancelled:
        assert sends - 1 == cancelled_at
    assert holding is None
    assert opened is None
