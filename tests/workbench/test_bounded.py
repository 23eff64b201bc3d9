from __future__ import annotations

import re
import signal
import threading

import pytest

from headway.workbench.bounded import TookTooLong, at_most


def test_a_pattern_that_would_try_for_years_is_ended() -> None:
    with pytest.raises(TookTooLong), at_most(0.05):
        re.search("^(a+)+$", "a" * 60 + "b")


def test_what_is_quick_is_let_be_and_the_alarm_is_as_it_was() -> None:
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0
    with at_most(60):
        assert re.search("b", "ab")
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0) == before


def test_off_the_main_thread_nothing_is_bounded_and_nothing_breaks() -> None:
    done: list[bool] = []

    def work() -> None:
        with at_most(0.001):
            done.append(re.search("b", "ab") is not None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
