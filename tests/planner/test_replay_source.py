"""When calls come in a replay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.core.call import Class
from headway.drivers.virtual import Agenda
from headway.planner import replay_source
from headway.planner.replay_rows import Asked
from headway.planner.replay_source import FOLLOWS_S, Overwhelmed, Source


def asked(at: float, total_s: float = 2.0, session: str = "", tenant: str = "t") -> Asked:
    return Asked(
        at, tenant, Class.STANDARD, session, "", "pool", "model", True, 100, 1024, False, False, total_s, 0.5 * total_s,
        100, 0, 0, 0, 50, 0, 1,
    )  # fmt: skip


def played(
    calls: list[Asked], waits: Callable[[Asked], float] = lambda _asked: 0.0, **options: Any
) -> Source:
    """Each call waits so long and then takes what it took; the rest is up to the source."""
    agenda = Agenda()

    def begin(call: Asked) -> None:
        agenda.at(agenda.now + waits(call) + call.total_s, source.ended, call)

    source = Source(agenda, iter(calls), begin, **options)
    source.start()
    agenda.play()
    return source


def test_calls_without_a_session_come_when_they_came() -> None:
    calls = [asked(0.0), asked(0.1), asked(5.0)]
    played(calls, lambda _asked: 100.0)
    assert [call.arrived_at for call in calls] == [0.0, 0.1, 5.0]


def test_a_call_comes_its_think_time_after_the_end_of_the_one_before() -> None:
    calls = [asked(0.0, 2.0, "s"), asked(5.0, 2.0, "s"), asked(10.0, 2.0, "s")]
    played(calls, lambda call: 50.0 if call is calls[0] else 0.0)
    assert [call.arrived_at for call in calls] == [0.0, 55.0, 60.0]


def test_a_wait_that_is_saved_brings_the_rest_of_the_session_forward() -> None:
    """In the recording the first call took 20 s; now it takes what it takes, and the others come as much earlier."""
    calls = [asked(0.0, 20.0, "s"), asked(25.0, 2.0, "s"), asked(30.0, 2.0, "s")]
    agenda = Agenda()

    def begin(call: Asked) -> None:
        agenda.at(agenda.now + (1.0 if call is calls[0] else 2.0), source.ended, call)

    source = Source(agenda, iter(calls), begin)
    source.start()
    agenda.play()
    assert [call.arrived_at for call in calls] == [0.0, 6.0, 11.0]


def test_calls_that_ran_beside_each_other_do_not_wait_for_each_other() -> None:
    calls = [asked(0.0, 10.0, "s"), asked(3.0, 10.0, "s"), asked(20.0, 2.0, "s")]
    played(calls, lambda call: 100.0 if call is calls[0] else 0.0)
    assert calls[1].arrived_at == 3.0
    assert calls[2].arrived_at == 20.0  # it followed the second, which was over last and is not late


def test_a_long_pause_is_no_thinking() -> None:
    calls = [asked(0.0, 2.0, "s"), asked(2.0 + FOLLOWS_S + 1.0, 2.0, "s")]
    played(calls, lambda call: 5000.0 if call is calls[0] else 0.0)
    assert calls[1].arrived_at == calls[1].at


def test_sessions_do_not_wait_for_other_sessions() -> None:
    calls = [asked(0.0, 2.0, "s"), asked(3.0, 2.0, "other")]
    played(calls, lambda _call: 100.0)
    assert calls[1].arrived_at == 3.0


def test_no_call_is_lost_however_few_are_read_ahead() -> None:
    calls = [asked(0.01 * number, 1.0, f"s{number % 7}" if number % 2 else "") for number in range(5000)]
    source = played(calls, lambda _call: 3.0, ahead=1)
    assert source.read == 5000
    assert source.open == 0
    assert all(call.ended_at >= 0.0 for call in calls)
    assert all(call.arrived_at == call.at for call in calls if not call.session)


def test_too_many_who_wait_end_the_replay_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_source, "BACKLOG", 3000)
    calls = [asked(0.01 * number) for number in range(20_000)]
    with pytest.raises(Overwhelmed, match="when 3,000 calls waited"):
        played(calls, lambda _call: 1e9, ahead=1000)


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 30.0), st.floats(0.1, 20.0), st.sampled_from(["", "a", "b"]), st.floats(0.0, 40.0)
        ),
        max_size=40,
    )
)
@example([(0.0, 1.0, "a", 0.0), (0.0, 1.0, "a", 1.0), (1.0, 1.0, "a", 0.0)])  # two ended together
def test_every_call_comes_once_and_never_before_the_end_of_the_one_it_followed(
    draws: list[tuple[float, float, str, float]],
) -> None:
    calls, waits, at = [], {}, 0.0
    for gap, total_s, session, wait_s in draws:
        at += gap
        calls.append(asked(at, total_s, session))
        waits[id(calls[-1])] = wait_s
    played(calls, lambda call: waits[id(call)])
    assert all(
        call.ended_at == pytest.approx(call.arrived_at + waits[id(call)] + call.total_s) for call in calls
    )
    for name in ("a", "b"):
        mine = [call for call in calls if call.session == name]
        for index, call in enumerate(mine):
            over = [each for each in mine[:index] if each.at + each.total_s <= call.at]
            if over and call.at - max(each.at + each.total_s for each in over) <= FOLLOWS_S:
                last = max(
                    reversed(over), key=lambda each: each.at + each.total_s
                )  # the later read of equals
                thought_s = call.at - (last.at + last.total_s)
                assert call.arrived_at == pytest.approx(last.ended_at + thought_s, abs=1e-6)
            else:
                assert call.arrived_at == call.at


def test_what_is_silent_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_source, "_TIDY_EVERY", 1000)
    calls = [asked(10.0 * number, 1.0, f"s{number}") for number in range(10_000)]
    agenda, most = Agenda(), 0

    def begin(call: Asked) -> None:
        nonlocal most
        most = max(most, len(source._sessions))
        agenda.at(agenda.now + call.total_s, source.ended, call)

    source = Source(agenda, iter(calls), begin, ahead=1000)
    source.start()
    agenda.play()
    assert 0 < most < 3000
