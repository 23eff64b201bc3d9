from __future__ import annotations

from collections import Counter
from dataclasses import replace

from headway.workbench.trials import trials
from headway.workbench.variants import Input, Variant

INPUTS = [Input(str(number), number, {"x": f"text {number}"}) for number in range(1, 41)]


def variant(name: str, prompt: str) -> Variant:
    return Variant(name, prompt, None, False, {"model": "m", "max_tokens": 5})


A, B, C = variant("a", "A {x}"), variant("b", "B {x}"), variant("c", "C {x}")


def test_every_variant_gets_every_input_as_often_as_asked_under_a_name_of_its_own() -> None:
    found = trials([A, B, C], INPUTS, 3)
    assert len({trial.id for trial in found}) == len(found) == 3 * 40 * 3
    assert set(Counter((trial.variant, trial.input.id) for trial in found).values()) == {3}


def test_all_variants_of_an_input_go_one_after_the_other_and_none_is_always_first() -> None:
    found = trials([A, B, C], INPUTS, 1)
    blocks = [found[start : start + 3] for start in range(0, len(found), 3)]
    assert all(len({trial.input.id for trial in block}) == 1 for block in blocks)
    assert all({trial.variant for trial in block} == {"a", "b", "c"} for block in blocks)
    firsts = Counter(block[0].variant for block in blocks)
    assert min(firsts.values()) >= 7, firsts


def test_the_order_and_the_names_are_the_same_in_every_run() -> None:
    assert [trial.id for trial in trials([A, B], INPUTS, 2)] == [
        trial.id for trial in trials([A, B], INPUTS, 2)
    ]


def test_a_variant_that_is_left_alone_keeps_its_names_while_another_changes() -> None:
    before = {trial.id for trial in trials([A, B], INPUTS, 2) if trial.variant == "a"}
    after = {
        trial.id for trial in trials([C, replace(A, name="renamed"), variant("b", "new {x}")], INPUTS, 2)
    }
    assert before <= after


def test_two_variants_that_ask_the_same_get_replies_of_their_own() -> None:
    found = trials([A, replace(A, name="again")], INPUTS, 1)
    assert len({trial.id for trial in found}) == 80


def test_replies_of_an_emulator_are_never_taken_for_true_ones() -> None:
    true = {trial.id for trial in trials([A], INPUTS, 1)}
    fast, slow = (
        {trial.id for trial in trials([A], INPUTS, 1, profile)} for profile in ("any/fast", "any/slow")
    )
    assert true.isdisjoint(fast | slow)
    assert fast.isdisjoint(slow)
