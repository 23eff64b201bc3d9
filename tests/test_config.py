from __future__ import annotations

import os
from pathlib import Path

import pytest

from headway.config import DEFAULT_BASE_URL, Config, SessionDefaults, load
from headway.core.limit import parse_limits
from headway.errors import ConfigError

FULL = """\
base_url = "http://127.0.0.1:1"
api_version = 2026-10-21
tier = "tier-2"
burst = "5s"
max_cost = "20usd"
max_wait = "10m"
retries = 3
concurrency = 7
stream = false
any_model = true
ledger = "here.sqlite3"
ledger_keep = "90d"
fingerprints = false

[limits]
requests = "50/min"
input_tokens = 30_000

[pools."anthropic/opus-4"]
requests = "10/min"

[session]
tenant = "nightly"
class = "bulk"
budget = "2usd"
max_wait = 1.5
"""


def write(folder: Path, text: str) -> Path:
    (folder / ".git").mkdir(exist_ok=True)  # nothing above this folder counts
    file = folder / "headway.toml"
    file.write_text(text, "utf-8")
    return file


def key_file(folder: Path, content: str = "sk-of-the-file\n", mode: int = 0o600) -> Path:
    file = folder / "api.key"
    file.write_text(content)
    file.chmod(mode)
    return file


def refused(folder: Path, text: str, **arguments: object) -> str:
    """What is said about a file, and what to do."""
    write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load({}, folder=folder, **arguments)
    return f"{caught.value}\n{caught.value.hint}"


def test_the_environment_counts_and_arguments_come_before_it() -> None:
    environment = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": " http://a ", "HEADWAY_LEDGER": "l"}
    config = load(environment)
    assert (config.api_key, config.base_url, config.ledger) == ("k", "http://a", "l")
    config = load(environment, base_url="http://b", retries=None, concurrency=5)
    assert (config.base_url, config.retries, config.concurrency) == ("http://b", Config().retries, 5)
    assert load({"ANTHROPIC_BASE_URL": ""}).base_url == DEFAULT_BASE_URL


def test_every_setting_can_stand_in_a_file(tmp_path: Path) -> None:
    write(tmp_path, 'api_key_file = "api.key"\n' + FULL)
    key_file(tmp_path)
    assert load({}, folder=tmp_path) == Config(
        api_key="sk-of-the-file",
        api_key_file=str(tmp_path / "api.key"),
        base_url="http://127.0.0.1:1",
        api_version="2026-10-21",
        limits="requests=50/min,input_tokens=30000",
        pool_limits={"anthropic/opus-4": "requests=10/min"},
        tier="tier-2",
        burst="5s",
        max_cost_usd=20.0,
        max_wait_s=600.0,
        retries=3,
        concurrency=7,
        stream=False,
        any_model=True,
        ledger=str(tmp_path / "here.sqlite3"),
        ledger_keep_s=90 * 86_400.0,
        fingerprints=False,
        session=SessionDefaults("nightly", "bulk", "2usd", 1.5),
    )


def test_an_argument_comes_before_a_variable_before_the_file_before_the_default(tmp_path: Path) -> None:
    write(tmp_path, "retries = 1\nconcurrency = 1\nmax_wait = 1\n")
    environment = {"HEADWAY_RETRIES": "2", "HEADWAY_CONCURRENCY": "2"}
    config = load(environment, folder=tmp_path, retries=3)
    assert (config.retries, config.concurrency, config.max_wait_s, config.stream) == (3, 2, 1.0, True)


def test_each_value_says_where_it_came_from(tmp_path: Path) -> None:
    file = write(tmp_path, "# mine\nretries = 1\n[session]\ntenant = 't'\n")
    config = load({"HEADWAY_CONCURRENCY": "2"}, folder=tmp_path, tier="tier-1")
    assert config.sources == {
        "retries": f"{file}:2",
        "session.tenant": f"{file}:4",
        "concurrency": "HEADWAY_CONCURRENCY",
        "tier": "argument tier",
    }
    assert config.file == str(file)
    assert load({}, folder=tmp_path, flags=True, max_cost="1usd").sources["max_cost"] == "--max-cost"


def test_an_argument_may_be_written_as_people_do_or_be_ready() -> None:
    assert load({}, max_cost="20usd", max_wait="10m") == load({}, max_cost_usd=20.0, max_wait_s=600.0)


def test_limits_of_a_pool_come_before_those_of_all(tmp_path: Path) -> None:
    write(tmp_path, FULL)
    config = load({}, folder=tmp_path)
    mine = {
        str(limit.unit): limit.amount for limit in parse_limits(config.limits_of("anthropic/opus-4") or "")
    }
    assert mine == {"requests": 10.0, "input_tokens": 30_000.0}
    assert config.limits_of("anthropic/haiku-3") == config.limits
    assert Config().limits_of("anthropic/haiku-3") is None


def test_limits_from_outside_the_file_put_aside_all_limits_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, FULL)
    for config in (
        load({"HEADWAY_LIMITS": "requests=1/min"}, folder=tmp_path),
        load({}, folder=tmp_path, limits="requests=1/min"),
    ):
        assert config.limits_of("anthropic/opus-4") == "requests=1/min"
        assert not any(name.startswith("pools") for name in config.sources)


def test_a_ledger_in_a_file_is_meant_from_where_the_file_is(tmp_path: Path) -> None:
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    for written, meant in (
        ("l.db", str(tmp_path / "l.db")),
        ("/var/l.db", "/var/l.db"),
        ("~/l.db", os.path.expanduser("~/l.db")),
        ("none", "none"),
    ):
        write(tmp_path, f'ledger = "{written}"')
        assert load({}, folder=inside).ledger == meant
    assert load({"HEADWAY_LEDGER": "l.db"}, folder=inside).ledger == "l.db"


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    write(tmp_path, "teir = 1\nretries = -1\n[limits]\nrequests = '5/fortnight'\n")
    with pytest.raises(ConfigError) as caught:
        load({"HEADWAY_STREAM": "perhaps"}, folder=tmp_path, concurrency=0)
    first, *lines = str(caught.value).split("\n")
    assert first.startswith("5 ")
    for line, place in zip(
        lines, ("toml:1: ", "toml:2: ", "toml:4: ", "HEADWAY_STREAM: ", "argument "), strict=True
    ):
        assert place in line


@pytest.mark.parametrize(
    "line", ['api_key = "{}"', 'auth_token = "{}"', 'ANTHROPIC_API_KEY = "{}"', 'openai-key = "{}"']
)
def test_a_key_in_a_file_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    said = refused(tmp_path, line.format("hidden-1"))
    assert "headway.toml:1" in said
    assert "environment" in said
    assert "hidden" not in said


def test_a_key_in_the_wrong_place_is_not_shown(tmp_path: Path) -> None:
    for line in ("retries = 'sk-ant-hidden'", "my_setting = 'hidden'", "[session]\nclass = 'sk-ant-hidden'"):
        assert "hidden" not in refused(tmp_path, line)


def test_an_unknown_argument_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, max_costs="1usd")
    assert "max_costs" in str(caught.value)
    assert "Did you mean max_cost" in caught.value.hint


def test_what_only_others_can_judge_is_blamed_on_where_it_came_from(tmp_path: Path) -> None:
    file = write(tmp_path, "tier = 'tier-9'\n")
    config = load({}, folder=tmp_path)
    with pytest.raises(ConfigError) as caught, config.blaming("tier"):
        raise ConfigError("unknown tier 'tier-9'", hint="Did you mean tier-4?")
    assert str(caught.value) == f"{file}:1: tier: unknown tier 'tier-9'"
    assert caught.value.hint == "Did you mean tier-4?"
    with pytest.raises(ConfigError, match=r"^unknown tier$"), Config(tier="x").blaming("tier"):
        raise ConfigError("unknown tier")


def test_a_key_is_sent_as_it_is_meant_and_a_token_as_bearer() -> None:
    assert load({"ANTHROPIC_API_KEY": "k"}).headers()[0] == (b"x-api-key", b"k")
    assert load({"ANTHROPIC_AUTH_TOKEN": "t"}).headers()[0] == (b"authorization", b"Bearer t")
    assert load({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"}).headers()[0][0] == b"x-api-key"
    assert load({"ANTHROPIC_API_KEY": "k"}, api_key="mine").headers()[0] == (b"x-api-key", b"mine")
    with pytest.raises(ConfigError, match="no API key"):
        load({"ANTHROPIC_API_KEY": "  "}).headers()


def test_blanks_that_copying_left_around_a_key_are_cut_off() -> None:
    assert load({"ANTHROPIC_API_KEY": " sk-ant-1\r\n"}).api_key == "sk-ant-1"


@pytest.mark.parametrize("key", ["sk-ant\n-two", "sk ant", "sk-änt", "sk-ant\0"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"ANTHROPIC_API_KEY": key})
    assert "ANTHROPIC_API_KEY" in str(caught.value)
    assert "sk" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_may_be_in_a_file_of_its_own(tmp_path: Path, mode: int) -> None:
    file = key_file(tmp_path, mode=mode)
    config = load({"HEADWAY_API_KEY_FILE": str(file)})
    assert config.headers()[0] == (b"x-api-key", b"sk-of-the-file")
    assert config.sources["api_key"] == str(file)
    assert "sk-of-the-file" not in repr(config)


@pytest.mark.parametrize(
    ("variable", "credential"),
    [
        ("ANTHROPIC_API_KEY", (b"x-api-key", b"k")),
        ("ANTHROPIC_AUTH_TOKEN", (b"authorization", b"Bearer k")),
    ],
)
def test_a_key_in_the_environment_comes_before_that_file(
    tmp_path: Path, variable: str, credential: tuple[bytes, bytes]
) -> None:
    config = load({"HEADWAY_API_KEY_FILE": str(tmp_path / "not there"), variable: "k"})
    assert config.headers()[0] == credential


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_file_with_a_key_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    file = key_file(tmp_path, mode=mode)
    with pytest.raises(ConfigError, match="others than its owner may read it") as caught:
        load({"HEADWAY_API_KEY_FILE": str(file)})
    assert f"chmod 600 {file}" in caught.value.hint
    assert "sk-of-the-file" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("sk-secret two", "holds characters that no key has"),
        ("sk-secret\nsk-secret", "holds characters that no key has"),
        ("sk-sécret", "it holds no key"),
        ("sk-secret" * 1000, "it holds no key"),
    ],
)
def test_a_file_that_holds_no_key_is_refused_without_being_shown(
    tmp_path: Path, content: str, says: str
) -> None:
    file = key_file(tmp_path, content)
    with pytest.raises(ConfigError, match=says) as caught:
        load({"HEADWAY_API_KEY_FILE": str(file)})
    assert str(file) in str(caught.value)
    assert "cret" not in f"{caught.value} {caught.value.hint}"


def test_a_key_file_that_cannot_be_read_says_where_it_was_named(tmp_path: Path) -> None:
    said = refused(tmp_path, "api_key_file = 'nowhere'\n")
    assert f"{tmp_path / 'headway.toml'}:1: api_key_file: {tmp_path / 'nowhere'}: cannot read it" in said


def test_a_key_that_is_written_where_its_file_belongs_is_not_shown(tmp_path: Path) -> None:
    said = refused(tmp_path, "api_key_file = 'sk-ant-very-secret'\n")
    assert "cannot read it" in said
    assert "very" not in said


def test_keys_never_show() -> None:
    assert "secret" not in repr(load({"ANTHROPIC_API_KEY": "secret", "ANTHROPIC_AUTH_TOKEN": "secret"}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_version": "2024"},
        {"concurrency": 0},
        {"retries": -1},
        {"max_cost_usd": 0.0},
        {"max_cost_usd": float("nan")},
        {"max_cost_usd": float("inf")},
        {"max_wait_s": -1.0},
        {"limits": "requests"},
    ],
)
def test_values_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        load({}, **wrong)
