"""`headway keys` as people and scripts meet it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headway.cli.main import app
from headway.core.call import Class
from headway.errors import ConfigError, HeadwayError, InputError
from headway.gateway.keyfile import edit_keys
from headway.gateway.keys import Keys

Command = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def headway(path: Path) -> Command:
    """`headway keys` on a file of its own."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(
            app, ["keys", *arguments], env={"HEADWAY_KEYS": str(path), "COLUMNS": "200"}
        )

    return run


def error(result: Result) -> HeadwayError:
    assert isinstance(result.exception, HeadwayError), result.output
    assert result.stdout == ""
    return result.exception


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_new_key_is_shown_once_alone_on_standard_output_and_opens_the_gateway(
    headway: Command, path: Path
) -> None:
    made = headway("add", "search")
    secret = made.stdout.strip()
    assert made.stdout == f"{secret}\n"
    assert "only time" in made.stderr
    key = Keys(path).find(secret)
    assert key is not None
    assert (key.id, key.tenant, key.class_) == ("search", "search", Class.STANDARD)
    for after in (headway("list"), headway("list", "--json"), headway("revoke", "search")):
        assert secret.rpartition("-")[2] not in after.output


def test_all_that_a_key_may_do_is_written(headway: Command, path: Path) -> None:
    made = told(
        headway(
            *(
                "add",
                "nightly",
                "--tenant",
                "search",
                "--class",
                "bulk",
                "--weight",
                "2.5",
                "--max-in-flight",
                "8",
            ),
            *("--models", "claude-opus-*", "--models", "claude-haiku-*"),
            *(
                "--budget",
                "20usd/day tz=Europe/Berlin",
                "--budget",
                "1m tokens/hour soft",
                "--expires",
                "30d",
                "--json",
            ),
        )
    )
    key = Keys(path).find(made.pop("key"))
    assert key is not None
    assert (key.tenant, key.class_, key.weight, key.most_in_flight) == ("search", Class.BULK, 2.5, 8)
    assert key.models == ("claude-opus-*", "claude-haiku-*")
    assert key.budgets == ("20usd/day tz=Europe/Berlin", "1m tokens/hour soft")
    left = datetime.fromisoformat(made["expires"]) - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    (listed,) = told(headway("list", "--json"))["keys"]
    assert {**listed, "file": str(path)} == made
    assert made["class"] == "bulk"
    assert made["state"].startswith("until 20")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("Search",), "name"),
        (("a/b",), "name"),
        (("-",), "name"),
        (("x" * 41,), "name"),
        (("a", "--tenant", ""), "tenant"),
        (("a", "--weight", "0"), "weight"),
        (("a", "--weight", "nan"), "weight"),
        (("a", "--weight", "inf"), "weight"),
        (("a", "--models", ""), "models"),
        (("a", "--budget", "20eur/day"), "20eur/day"),
        (("a", "--budget", "20usd/fortnight"), "fortnight"),
        (("a", "--expires", "soon"), "soon"),
        (("a", "--expires", "9" * 30 + "d"), "too long"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out_and_nothing_is_written(
    headway: Command, path: Path, arguments: tuple[str, ...], says: str
) -> None:
    refused = error(headway("add", *arguments))
    assert refused.exit_code == 2
    assert says in str(refused)
    assert not path.exists()


def test_a_name_is_given_once(headway: Command) -> None:
    assert headway("add", "a").exit_code == 0
    refused = error(headway("add", "a"))
    assert isinstance(refused, InputError)
    assert "headway keys rotate a" in refused.hint


def test_the_name_of_a_key_that_was_revoked_or_has_expired_can_be_given_again(
    headway: Command, path: Path
) -> None:
    assert headway("add", "a").exit_code == headway("revoke", "a").exit_code == 0
    assert headway("add", "b", "--expires", "0s").exit_code == 0
    for name in ("a", "b"):
        secret = headway("add", name).stdout.strip()
        assert Keys(path).find(secret) is not None
    assert len(told(headway("list", "--json"))["keys"]) == 2


def test_another_amount_of_the_same_budget_on_another_key_of_a_tenant_is_refused(headway: Command) -> None:
    assert headway("add", "prod", "--tenant", "acme", "--budget", "100usd/day").exit_code == 0
    refused = error(headway("add", "dev", "--tenant", "acme", "--budget", "10usd/day"))
    assert "100usd/day" in str(refused)
    assert "prod" in str(refused)
    assert headway("add", "same", "--tenant", "acme", "--budget", "$100 / day").exit_code == 0
    assert headway("add", "more", "--tenant", "acme", "--budget", "1usd/day per session").exit_code == 0
    assert headway("add", "dev", "--tenant", "dev", "--budget", "10usd/day").exit_code == 0


def test_a_revoked_key_opens_nothing_and_stays_in_the_list(headway: Command, path: Path) -> None:
    secret = headway("add", "a").stdout.strip()
    assert told(headway("revoke", "a", "--json"))["state"].startswith("revoked 20")
    assert Keys(path).find(secret) is None
    assert "revoked 20" in headway("list").stdout
    assert "sha256" not in path.read_text()
    assert "revoked already" in str(error(headway("revoke", "a")))


def test_a_rotated_key_has_two_secrets_for_as_long_as_was_said(headway: Command, path: Path) -> None:
    old = headway("add", "a", "--budget", "20usd/day", "--class", "bulk").stdout.strip()
    made = told(headway("rotate", "a", "--overlap", "2h", "--json"))
    new = made["key"]
    assert new != old
    assert made["class"] == "bulk"
    now = datetime.now(UTC)
    in_an_hour, in_two = (int((now + timedelta(hours=hours)).timestamp()) * 10**9 for hours in (1, 2.1))
    during, after = Keys(path, lambda: in_an_hour), Keys(path, lambda: in_two)
    assert during.find(old) == during.find(new) == after.find(new)
    assert during.find(old) is not None
    assert after.find(old) is None


def test_a_key_is_not_rotated_again_while_two_secrets_are_good_unless_both_end(
    headway: Command, path: Path
) -> None:
    first = headway("add", "a").stdout.strip()
    second = headway("rotate", "a").stdout.strip()
    assert "--overlap 0s" in error(headway("rotate", "a")).hint
    third = headway("rotate", "a", "--overlap", "0s").stdout.strip()
    known = Keys(path)
    assert [known.find(secret) is not None for secret in (first, second, third)] == [False, False, True]


def test_what_is_not_there_cannot_be_changed(headway: Command, path: Path) -> None:
    for command in ("revoke", "rotate"):
        assert "headway keys add" in error(headway(command, "a")).hint
    assert not path.exists()
    assert headway("add", "b", "--expires", "0s").exit_code == 0
    assert "no key called a" in str(error(headway("revoke", "a")))
    assert "expired" in str(error(headway("rotate", "b")))


def test_a_list_of_no_file_says_how_to_begin(headway: Command) -> None:
    assert "headway keys add" in error(headway("list")).hint


def test_a_file_that_others_may_read_is_refused_by_every_command(headway: Command, path: Path) -> None:
    headway("add", "a")
    path.chmod(0o644)
    for command in (("list",), ("add", "b"), ("revoke", "a"), ("rotate", "a")):
        assert isinstance(error(headway(*command)), ConfigError)


def test_a_file_that_is_named_comes_before_the_environment(
    headway: Command, path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    assert headway("add", "a", "--keys", str(other)).exit_code == 0
    assert not path.exists()
    assert [each["name"] for each in told(headway("list", "--keys", str(other), "--json"))["keys"]] == ["a"]


def test_names_from_a_file_written_by_hand_cannot_drive_the_terminal(headway: Command, path: Path) -> None:
    headway("add", "a")
    with edit_keys(path) as stored:
        stored[0] = type(stored[0])(name="a", tenant="\x1b[2J", proofs=stored[0].proofs)
    assert "\x1b" not in headway("list").stdout
