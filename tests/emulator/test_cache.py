from __future__ import annotations

from typing import Any

from headway.emulator.cache import InputUsage, PromptCache
from headway.emulator.prompt import Prompt, read_prompt
from headway.emulator.tiers import Model, find_model

LONG = "The rules of the house, which every call repeats word for word. " * 100
MARK = {"cache_control": {"type": "ephemeral"}}
MARK_1H = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def prompt(*blocks: dict[str, Any], system: str = LONG, mark: dict[str, Any] = MARK) -> Prompt:
    request = {
        "system": [{"type": "text", "text": system} | mark],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Go on."} | extra for extra in blocks or ({},)],
            }
        ],
    }
    return read_prompt(request, 0)


def named(model: str) -> Model:
    found = find_model(model)
    assert found is not None
    return found


def use(
    cache: PromptCache,
    asked: Prompt,
    now: float,
    starts_at: float | None = None,
    model: str = "claude-opus-4-8",
) -> InputUsage:
    lookup = cache.look(named(model), asked, now)
    cache.keep(lookup, now, now if starts_at is None else starts_at)
    return lookup.usage


def test_the_first_call_writes_and_the_next_reads_just_as_much() -> None:
    cache = PromptCache()
    first, second = use(cache, prompt(), 0.0), use(cache, prompt(), 1.0)
    assert first.write_5m > 1_024
    assert (second.read, second.write_5m) == (first.write_5m, 0)
    assert first.fresh == second.fresh
    assert first.charged == prompt().tokens
    assert second.charged == second.fresh


def test_an_entry_cannot_be_read_before_the_reply_that_wrote_it_has_started() -> None:
    cache = PromptCache()
    use(cache, prompt(), 0.0, starts_at=2.0)
    assert use(cache, prompt(), 1.9, starts_at=9.0).read == 0
    assert use(cache, prompt(), 2.0).read > 0


def test_a_five_minute_entry_lives_five_minutes_from_its_last_use_and_an_hour_entry_an_hour() -> None:
    for mark, ttl in ((MARK, 300.0), (MARK_1H, 3600.0)):
        cache = PromptCache()
        use(cache, prompt(mark=mark), 0.0)
        assert use(cache, prompt(mark=mark), ttl - 1).read > 0
        assert use(cache, prompt(mark=mark), 2 * ttl - 2).read > 0
        assert use(cache, prompt(mark=mark), 3 * ttl - 2).read == 0


def test_time_that_runs_faster_shortens_lifetimes() -> None:
    cache = PromptCache(minute_s=1.0)
    use(cache, prompt(), 0.0)
    assert use(cache, prompt(), 4.0).read > 0
    assert use(cache, prompt(), 9.1).read == 0


def test_hour_writes_and_five_minute_writes_are_told_apart() -> None:
    usage = use(PromptCache(), prompt({"text": LONG} | MARK, {}, mark=MARK_1H), 0.0)
    assert usage.write_1h > 1_024
    assert usage.write_5m > 1_024
    assert usage.fresh > 0


def test_a_prefix_below_the_minimum_is_not_cached() -> None:
    cache = PromptCache()
    assert use(cache, prompt(system="short"), 0.0) == use(cache, prompt(system="short"), 1.0)
    assert use(cache, prompt(system="short"), 2.0).read == 0


def test_a_conversation_reads_what_its_last_turn_wrote_though_the_breakpoint_moved_on() -> None:
    cache = PromptCache()
    first = use(cache, prompt({"text": LONG + "1"} | MARK, mark={}), 0.0)
    second = use(cache, prompt({"text": LONG + "1"}, {"text": LONG + "2"} | MARK, mark={}), 1.0)
    assert second.read == first.write_5m
    assert second.write_5m > 1_024


def test_another_model_or_another_prefix_reads_nothing() -> None:
    cache = PromptCache()
    use(cache, prompt(), 0.0)
    assert use(cache, prompt(), 1.0, model="claude-sonnet-4-6").read == 0
    assert use(cache, prompt(system="!" + LONG), 1.0).read == 0


def test_looking_changes_nothing() -> None:
    cache = PromptCache()
    cache.look(named("claude-opus-4-8"), prompt(), 0.0)
    assert cache.look(named("claude-opus-4-8"), prompt(), 1.0).usage.read == 0


def test_what_is_too_short_for_its_model_is_not_cached() -> None:
    long = prompt().tokens
    assert 1_024 < long < 4_096
    assert use(PromptCache(), prompt(), 0.0, model="claude-opus-4-8").write_5m
    short = use(PromptCache(), prompt(), 0.0, model="claude-opus-4-5")
    assert (short.fresh, short.write_5m) == (long, 0)
