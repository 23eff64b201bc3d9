"""Rules of names: each budget has one, and nobody can take that of another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Unit
from headway.gateway.grants import Group
from headway.gateway.period import Always, Plan, parse_plan

NAMES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "(none)", "a, model b", "a, in all", "'a'", "a", "a ", "\ud800", "a\0b", "a\nb"]),
)


@given(st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=2, max_size=2, unique=True))
def test_whatever_things_are_called_each_has_a_budget_of_its_own(
    triples: Sequence[tuple[str, str, str]],
) -> None:
    plan = parse_plan("1usd per session per model")
    names = {Group(tenant, plan).grant((session, model), 0).name for tenant, session, model in triples}
    assert len(names) == len(triples)


@given(NAMES, NAMES)
def test_a_name_can_be_shown(session: str, model: str) -> None:
    name = Group("acme", parse_plan("1usd per session per model")).grant((session, model), 0).name
    assert name.isprintable()
    name.encode()


@pytest.mark.parametrize(
    ("per", "values"),
    [
        ((), ()),
        (("session",), ("s",)),
        (("job",), ("j",)),
        (("model",), ("m",)),
        (("session", "model"), ("s", "m")),
        (("session", "job", "model"), ("s", "j", "m")),
    ],
)
def test_a_call_draws_on_the_budget_of_what_it_belongs_to(
    per: tuple[str, ...], values: tuple[str, ...]
) -> None:
    plan = Plan(Unit.USD, 1, Always(), per)  # type: ignore[arg-type]  # they are dimensions
    assert Group("acme", plan).values("s", "j", "m") == values


def test_two_budgets_that_differ_in_being_soft_are_two() -> None:
    hard, soft = (Group("acme", parse_plan(text)).grant((), 0).name for text in ("1usd", "1usd soft"))
    assert hard != soft
