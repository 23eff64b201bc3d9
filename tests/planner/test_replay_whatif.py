"""What-ifs as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Class, Unit
from headway.errors import InputError
from headway.planner.replay_whatif import Budgeted, Loaded, Moved, Ranked, Taken, Whose, parse_what_if

TENANT_X = Whose((("tenant", "x"),))


def test_a_tier_and_limits_and_bursts_are_for_all() -> None:
    assert parse_what_if("tier=build").tier == "build"
    assert parse_what_if("tier build").tier == "build"
    ((pool, (limit,)),) = parse_what_if("limits=input_tokens=1M/min").limits
    assert (pool, limit.unit, limit.amount, limit.period_s) == ("", Unit.INPUT_TOKENS, 1e6, 60.0)
    assert parse_what_if("limits pool=anthropic/opus-4 requests=5/s").limits[0][0] == "anthropic/opus-4"
    assert parse_what_if("burst=10s").burst == "10s"
    assert parse_what_if("max_wait=2m").max_wait_s == 120.0
    assert parse_what_if("max-wait=2m").max_wait_s == 120.0
    assert parse_what_if("concurrency=7").concurrency == 7


def test_changes_are_for_those_who_are_named() -> None:
    (budgeted,) = parse_what_if("budget tenant=x 20usd/day").changes
    assert isinstance(budgeted, Budgeted)
    assert (budgeted.whose, budgeted.plan.amount) == (TENANT_X, 20 * 10**9)
    assert parse_what_if("weight tenant=x 3").changes == (Ranked(TENANT_X, weight=3.0),)
    assert parse_what_if("class tenant=x bulk").changes == (Ranked(TENANT_X, class_=Class.BULK),)
    assert parse_what_if("drop job=nightly").changes == (Taken(Whose((("job", "nightly"),)), to_batch=False),)
    assert parse_what_if("batch job=nightly").changes == (Taken(Whose((("job", "nightly"),)), to_batch=True),)
    assert parse_what_if("load=2x").changes == (Loaded(Whose(), 2.0),)
    assert parse_what_if("load tenant=x 0.5").changes == (Loaded(TENANT_X, 0.5),)


def test_a_model_goes_to_another() -> None:
    (moved,) = parse_what_if("model=claude-opus-4-5:claude-sonnet-5-5").changes
    assert moved == Moved(Whose((("model", "claude-opus-4-5"),)), "claude-sonnet-5-5")
    (moved,) = parse_what_if("model tenant=x claude-sonnet-5-5").changes
    assert moved == Moved(TENANT_X, "claude-sonnet-5-5")


def test_several_changes_are_one_what_if() -> None:
    both = parse_what_if("tier=build and  load=2x and class tenant='a and-b' bulk")
    assert both.tier == "build"
    assert both.text == "tier=build and load=2x and class tenant='a and-b' bulk"
    assert len(both.changes) == 2


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "nothing to change", "tier=build"),
        ("teir=build", "nothing is called 'teir'", "Did you mean tier, as in tier=build?"),
        ("tier=biuld", "unknown tier 'biuld'", "Did you mean build?"),
        ("tier", "tier: to what?", "tier=build"),
        ("tier tenant=x build", "tier is for all calls", "tier=build"),
        ("limits=input=1M", "unknown limit 'input'", "input_tokens"),
        ("drop", "drop which calls?", "drop job=nightly"),
        ("drop jbo=nightly", "calls have no 'jbo'", "Did you mean job?"),
        ("drop tenant=", "tenant= what?", "drop job=nightly"),
        ("class tenant=x urgent", "no class 'urgent'", "interactive"),
        ("weight tenant=x none", "'none' is no weight", "weight tenant=x 3"),
        ("load=0", "'0' is no load", "load=2x"),
        ("load=1000x", "'1000x' is no load", "at most 100"),
        ("model=claude-opus-4-5:claude-sonet-5-5", "no model 'claude-sonet-5-5'", "Did you mean claude-sonnet-5-5?"),
        ("budget tenant=x 20", "cannot read '20'", "2usd"),
        ("concurrency=many", "'many' is no number of calls", "concurrency=20"),
        ("max_wait=soon", "cannot read the duration 'soon'", "30s"),
        ("load=2x and", "'load=2x and'", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_what_would_do(text: str, says: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_what_if(text)
    assert says in str(caught.value)
    assert str(caught.value).startswith("what if ")
    assert hint in caught.value.hint


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_what_if(text)
    except InputError as error:
        assert str(error).startswith("what if")  # noqa: PT017 (most texts are refused, some are not)
