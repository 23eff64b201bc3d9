"""Rules of virtual keys: who has the secret is known, nobody else is, and the file is its owner's alone."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Class
from headway.errors import ConfigError, OutputError
from headway.gateway.keyfile import Proof, Stored, default_path, edit_keys, read_keys
from headway.gateway.keys import OPEN, Key, Keys, new_secret

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
HOUR = timedelta(hours=1)
Add = Callable[..., str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "keys.json"


@pytest.fixture
def add(path: Path) -> Add:
    """Adds a key; returns its secret."""

    def add(name: str = "search", *, secret_expires: datetime | None = None, **fields: Any) -> str:
        secret, digest = new_secret(name)
        proof = Proof(sha256=digest, added=NOW, expires=secret_expires)
        with edit_keys(path) as stored:
            stored.append(Stored(**{"name": name, "tenant": "acme", "proofs": (proof,), **fields}))
        return secret

    return add


def keys(path: Path, at: datetime = NOW) -> Keys:
    return Keys(path, lambda: int(at.timestamp()) * 10**9)


# --- finding ------------------------------------------------------------------------------------------------------


def test_the_secret_finds_its_key_as_text_and_as_bytes(add: Add, path: Path) -> None:
    secret = add(
        class_=Class.BULK,
        weight=2.5,
        models=("claude-*",),
        budgets=("20usd/day",),
        max_in_flight=8,
        expires=NOW + HOUR,
    )
    wanted = Key(
        "search",
        "acme",
        Class.BULK,
        2.5,
        ("claude-*",),
        ("20usd/day",),
        NOW_NS + 3600 * 10**9,
        most_in_flight=8,
    )
    assert keys(path).find(secret) == keys(path).find(secret.encode()) == wanted


def test_only_the_whole_secret_finds_it(add: Add, path: Path) -> None:
    secret, other = add("search"), add("nightly")
    known = keys(path)
    random, others = secret.rpartition("-")[2], other.rpartition("-")[2]
    wrong = [
        "",
        "hw-",
        secret[:-1],
        secret + "x",
        secret.upper(),
        random,
        f"hw-search-{others}",
        f"hw-nightly-{random}",
    ]
    assert [known.find(each) for each in wrong] == [None] * len(wrong)
    assert known.find(secret + "x" * 10_000) is None
    assert known.find(sha256(secret.encode()).hexdigest()) is None


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_whatever_is_presented_finds_nobody_and_raises_nothing(presented: str | bytes) -> None:
    assert Keys(None).find(presented) is None


@pytest.mark.parametrize("presented", ["hw-search-wrong", "hw-rotated-wrong", "hw-nobody-wrong", "junk", ""])
def test_whatever_is_wrong_costs_one_hash_and_two_comparisons(
    add: Add, path: Path, presented: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the time that it takes does not tell a known name with a wrong secret from an unknown one."""
    add("search")
    add("rotated", secret_expires=NOW + HOUR)
    known, compared = keys(path), list[bytes]()
    monkeypatch.setattr(
        "headway.gateway.keys.compare_digest",
        lambda kept, given: compared.append(given) or compare_digest(kept, given),
    )
    assert known.find(presented) is None
    assert compared == [sha256(presented.encode()).digest()] * 2


def test_an_expired_key_finds_nobody_from_that_moment_on(add: Add, path: Path) -> None:
    secret = add(expires=NOW + HOUR)
    assert keys(path, NOW + HOUR - timedelta(microseconds=1)).find(secret) is not None
    assert keys(path, NOW + HOUR).find(secret) is None


def test_a_secret_that_was_rotated_away_is_good_until_its_end_and_the_key_beyond(
    add: Add, path: Path
) -> None:
    old = add(secret_expires=NOW + HOUR)
    new, digest = new_secret("search")
    with edit_keys(path) as stored:
        (key,) = stored
        stored[:] = [
            Stored(name=key.name, tenant=key.tenant, proofs=(*key.proofs, Proof(sha256=digest, added=NOW)))
        ]
    during, after = keys(path), keys(path, NOW + HOUR)
    assert during.find(new) is not None
    assert during.find(old) == during.find(new) == after.find(new)
    assert after.find(old) is None


def test_a_revoked_key_finds_nobody_even_if_its_secret_is_still_in_the_file(add: Add, path: Path) -> None:
    secret = add(revoked=NOW)
    assert keys(path).find(secret) is None
    assert keys(path).all() == ()


def test_all_lists_the_good_ones_by_name(add: Add, path: Path) -> None:
    for name, fields in {"b": {}, "a": {}, "gone": {"expires": NOW}, "old": {"secret_expires": NOW}}.items():
        add(name, **fields)
    assert [key.id for key in keys(path).all()] == ["a", "b"]


def test_the_budgets_of_a_key_are_those_of_its_tenant(add: Add, path: Path) -> None:
    one = add("a", budgets=("20usd/day",))
    two = add("b", budgets=("20usd/day", "1usd per session"))
    three = add("c")
    other = add("d", tenant="other")
    gone = add("e", budgets=("1usd",), revoked=NOW)
    known = keys(path)
    found = [known.find(secret) for secret in (one, two, three)]
    assert [key.budgets for key in found if key] == [("20usd/day", "1usd per session")] * 3
    assert [key.budgets for key in known.all() if key.tenant == "other"] == [()]
    assert known.find(other) is not None
    assert known.find(gone) is None


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        ((), "claude-opus-4-8", True),
        (("claude-opus-*",), "claude-opus-4-8", True),
        (("claude-opus-*",), "claude-haiku-4-5", False),
        (("claude-haiku-*", "claude-opus-*"), "claude-opus-4-8", True),
        (("claude-opus-4",), "claude-opus-4-8", False),
        (("Claude-*",), "claude-opus-4-8", False),
        (("*",), "", True),
    ],
)
def test_models_are_patterns_of_whole_names(patterns: tuple[str, ...], model: str, allowed: bool) -> None:
    assert Key("k", "t", Class.STANDARD, models=patterns).allows(model) is allowed


def test_the_open_key_is_of_the_default_tenant_and_may_ask_every_model() -> None:
    assert OPEN.tenant == "default"
    assert OPEN.allows("anything")
    assert OPEN.budgets == ()


def test_secrets_are_never_alike_and_hold_at_least_160_bits() -> None:
    made = {new_secret("search")[0] for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(secret.rpartition("-")[2]) * 5.95 >= 160 for secret in made)
    assert len({letter for secret in made for letter in secret.rpartition("-")[2]}) == 62


def test_no_secret_is_in_the_file_nor_in_any_repr(add: Add, path: Path) -> None:
    secret = add()
    random = secret.rpartition("-")[2]
    known = keys(path)
    shown = (
        path.read_text() + repr(read_keys(path)) + repr(known) + repr(known.find(secret)) + repr(vars(known))
    )
    assert random not in shown


# --- reloading ----------------------------------------------------------------------------------------------------


def test_a_reload_takes_up_what_is_in_the_file_now(add: Add, path: Path) -> None:
    first = add("a")
    known = keys(path)
    second = add("b")
    assert known.find(second) is None
    known.reload()
    assert known.find(second) is not None
    with edit_keys(path) as stored:
        del stored[0]
    known.reload()
    assert known.find(first) is None


@pytest.mark.parametrize("how", ["missing", "garbage", "readable by others", "unknown budget"])
def test_a_file_that_cannot_be_used_at_a_reload_leaves_the_keys_as_they_are_and_the_log_says_why(
    add: Add, path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = add()
    known = keys(path)
    match how:
        case "missing":
            path.unlink()
        case "garbage":
            path.write_text("{")
        case "readable by others":
            path.chmod(0o640)
        case _:
            add("b", budgets=("20eur/day",))
    known.reload()
    assert known.find(secret) is not None
    (message,) = caplog.messages
    assert message.startswith("the keys stay as they were: ")
    assert str(path) in message


def test_without_a_file_a_reload_does_nothing() -> None:
    known = Keys(None)
    known.reload()
    assert known.all() == ()


# --- the file -----------------------------------------------------------------------------------------------------


def test_the_file_and_its_folder_are_for_their_owner_alone(add: Add, path: Path) -> None:
    add()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    add("b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o660, 0o644, 0o777])
def test_a_file_that_others_may_read_or_write_is_refused_with_the_way_out(
    add: Add, path: Path, mode: int
) -> None:
    add()
    path.chmod(mode)
    with pytest.raises(ConfigError, match="others may read or write") as refused:
        Keys(path)
    assert f"chmod 600 {path}" in refused.value.hint


def test_a_file_that_is_not_there_is_refused_with_the_way_out(path: Path) -> None:
    with pytest.raises(ConfigError, match="no keys") as refused:
        Keys(path)
    assert "headway keys add" in refused.value.hint


GOOD = {"name": "a", "tenant": "t", "proofs": [{"sha256": "0" * 64, "added": "2026-11-24T12:00:00Z"}]}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "keys": []}',
        json.dumps({"version": 1, "keys": [GOOD, GOOD]}),
        json.dumps({"version": 1, "keys": [GOOD], "more": 1}),
        *(
            json.dumps({"version": 1, "keys": [{**GOOD, **wrong}]})
            for wrong in (
                {"name": "A"},
                {"name": "a/b"},
                {"name": ""},
                {"tenant": ""},
                {"class": "urgent"},
                {"weight": 0},
                {"weight": -1},
                {"max_in_flight": 0},
                {"models": "claude"},
                {"expires": "2026-11-24T12:00:00"},
                {"only_on_sundays": True},
                {"proofs": [{"sha256": "secret", "added": "2026-11-24T12:00:00Z"}]},
                {"budgets": ["20 potatoes"]},
            )
        ),
    ],
)
def test_a_file_with_anything_in_it_that_is_not_known_is_refused_as_a_whole(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(ConfigError, match=str(path)):
        Keys(path)


def test_a_key_written_by_hand_is_read(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_text(json.dumps({"version": 1, "keys": [GOOD]}))
    assert [key.id for key in keys(path).all()] == ["a"]


def test_an_error_while_editing_changes_nothing_and_leaves_nothing_behind(add: Add, path: Path) -> None:
    add()
    before = path.read_bytes()
    with suppress(RuntimeError), edit_keys(path) as stored:
        stored.clear()
        raise RuntimeError
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


def test_a_folder_that_cannot_be_written_is_an_error_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError), edit_keys(tmp_path / "file" / "keys.json"):
        pass


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from headway.gateway.keyfile import Proof, Stored, edit_keys
from headway.gateway.keys import new_secret

for number in range(10):
    name = f"{sys.argv[2]}-{number}"
    with edit_keys(Path(sys.argv[1])) as stored:
        proof = Proof(sha256=new_secret(name)[1], added=datetime.now(UTC))
        stored.append(Stored(name=name, tenant="t", proofs=(proof,)))
"""


def test_several_writers_at_once_lose_nothing_and_a_reader_sees_a_whole_file_at_any_time(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b", "c")]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            found = len(read_keys(path))
            assert found >= seen
            seen = found
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(read_keys(path)) == 30


def test_the_file_is_where_the_environment_says_or_with_the_settings_of_this_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADWAY_KEYS", "~/mine.json")
    assert default_path() == Path("~/mine.json").expanduser()
    monkeypatch.setenv("HEADWAY_KEYS", "")
    assert default_path() == Path(os.environ["XDG_CONFIG_HOME"]) / "headway" / "keys.json"
