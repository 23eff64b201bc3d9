from __future__ import annotations

from pathlib import Path

import pytest

from headway.errors import ConfigError
from headway.settings.gather import Gathered, Problem, error_of, gather


def wrong(folder: Path, text: str) -> Problem:
    """The one problem of a file."""
    file = folder / "headway.toml"
    file.write_text(text, "utf-8")
    (problem,) = gather(file, {}, {}).problems
    return problem


@pytest.mark.parametrize(
    ("text", "line", "says", "hint"),
    [
        ('teir = "x"', 1, "unknown setting teir", "Did you mean tier?"),
        ("\n[limit]\nrequests = 5", 2, "unknown setting limit", "Did you mean limits?"),
        ("[limits]\nrequest = 5", 2, "unknown limit request", "Did you mean requests?"),
        ('[limits]\ntokens = "5/week"', 2, "tokens: cannot use '5/week'", "per period"),
        ('limits = "request=5"', 1, "limits: cannot use", "Did you mean requests?"),
        ("limits = 5", 1, "limits: cannot use 5", "requests=50/min"),
        ("pools = 5", 1, "pools is a table", "[pools]"),
        ('[pools]\n"a/b" = 5', 2, "pools.a/b is a table", '[pools."a/b"]'),
        ("[pools.x]\nrequests = 5\nrequest = 5", 3, "unknown limit request", "requests"),
        ("session = 'x'", 1, "session is a table", "[session]"),
        ("[session]\ntenants = 'x'", 2, "unknown setting session.tenants", "session.tenant"),
        ("[session]\nbudget = '2eur'", 2, "session.budget: cannot use '2eur'", "2usd"),
        ("tier = true", 1, "tier: cannot use true", "tier-2"),
        ("retries = -1", 1, "retries: cannot use -1", "0 or more"),
        ("max_cost = '20eur'", 1, "max_cost: cannot use '20eur'", "20usd"),
        ("ledger = 5", 1, "ledger: cannot use 5", "quotes"),
    ],
)
def test_what_is_wrong_in_a_file_says_where_what_and_what_to_do(
    tmp_path: Path, text: str, line: int, says: str, hint: str
) -> None:
    problem = wrong(tmp_path, text)
    assert problem.where == f"{tmp_path}/headway.toml:{line}"
    assert says in problem.says
    assert hint in problem.hint


def test_a_long_value_is_cut_and_a_password_is_left_out(tmp_path: Path) -> None:
    assert len(wrong(tmp_path, f"retries = '{'x' * 5000}'").says) < 120
    assert "hidden" not in wrong(tmp_path, "retries = 'http://me:hidden@host'").says


def test_empty_tables_set_nothing(tmp_path: Path) -> None:
    file = tmp_path / "headway.toml"
    file.write_text("[limits]\n[session]\n[pools]\n")
    assert gather(file, {}, {}) == Gathered()


def test_variables_and_arguments_that_are_empty_set_nothing() -> None:
    assert (
        gather(None, {"HEADWAY_TIER": " ", "ANTHROPIC_API_KEY": ""}, {"tier": "", "limits": None})
        == Gathered()
    )


def test_arguments_of_a_command_are_named_as_flags() -> None:
    (flag,) = gather(None, {}, {"max_cost": "x"}, flags=True).problems
    (argument,) = gather(None, {}, {"max_cost": "x"}).problems
    assert (flag.where, argument.where) == ("--max-cost", "argument max_cost")


def test_one_problem_is_a_sentence_and_a_hint_and_several_are_lines() -> None:
    one = Problem("here:1", "it is wrong", "Mend it.")
    assert (str(error_of([one])), error_of([one]).hint) == ("here:1: it is wrong", "Mend it.")
    several = error_of([one, Problem("", "that too", "")])
    assert isinstance(several, ConfigError)
    assert str(several).split("\n")[1:] == ["  here:1: it is wrong. Mend it.", "  that too. "]
