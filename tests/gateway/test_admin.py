"""The admin API over real sockets: who gets in, and that what it says is what happened."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import httpx2
import pytest

from gateway.serving import BODY, Serving
from gateway.watched import TOKEN, Watch, watching
from headway.core.call import Class
from headway.errors import ConfigError
from headway.gateway.admin import SHORTEST, token_of
from headway.gateway.keys import Key, Keys
from transport.provider import wait_until

PATHS = ("state", "tenants", "budgets", "usage", "keys")
JSON = {"content-type": "application/json"}


class TwoKeys(Keys):
    """Two keys without a file; reloads are counted."""

    def __init__(self) -> None:
        super().__init__(None)
        self.reloads = 0

    def all(self) -> tuple[Key, ...]:
        night = Key("night", "night", Class.BULK)
        return (night, Key("search", "search team", Class.INTERACTIVE, budgets=("20usd/day",)))

    def reload(self) -> None:
        self.reloads += 1


@pytest.fixture
def watch(start: Callable[..., Serving]) -> Iterator[Watch]:
    yield from watching(start)


@pytest.mark.parametrize("path", [*(f"/headway/v1/{path}" for path in PATHS), "/metrics", "/nothing"])
@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": TOKEN},
        {"x-api-key": TOKEN},
        {"authorization": "Bearer"},
    ],
    ids=["none", "wrong", "bare", "as a key", "empty"],
)
def test_without_the_token_every_path_is_401(watch: Watch, path: str, credentials: dict[str, str]) -> None:
    answer = httpx2.get(watch().url + path, headers=credentials)
    assert answer.status_code == 401
    assert TOKEN not in answer.text


def test_two_tokens_are_none(watch: Watch) -> None:
    both = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other")]
    assert httpx2.get(f"{watch().url}/headway/v1/state", headers=both).status_code == 401


def test_the_admin_api_is_not_on_the_port_of_the_calls(watch: Watch) -> None:
    watched = watch()
    for path in ("/headway/v1/state", "/metrics"):
        answer = watched.calls.get(path, headers={"authorization": f"Bearer {TOKEN}"})
        assert "headway_" not in answer.text
        assert "pools" not in answer.text


def test_nothing_but_reload_takes_a_post(watch: Watch) -> None:
    watched = watch()
    for path in PATHS:
        assert watched.admin.post(f"/headway/v1/{path}").status_code == 405
    assert watched.admin.get("/headway/v1/reload").status_code == 405


def test_reload_reads_the_keys_again(watch: Watch) -> None:
    keys = TwoKeys()
    answer = watch(keys=keys).admin.post("/headway/v1/reload")
    assert answer.json() == {"keys": 2}
    assert keys.reloads == 1


def test_keys_are_shown_with_what_they_may_and_without_what_they_are(watch: Watch) -> None:
    night, search = watch(keys=TwoKeys()).get("/headway/v1/keys")["keys"]
    assert search == {
        "id": "search",
        "tenant": "search team",
        "class": "interactive",
        "weight": 1.0,
        "models": [],
        "budgets": ["20usd/day"],
        "expires_ns": None,
        "most_in_flight": None,
    }
    assert night["class"] == "bulk"


def test_a_call_shows_in_the_state_and_in_the_ledger(watch: Watch) -> None:
    watched = watch()
    assert watched.calls.post("/v1/messages", content=BODY, headers=JSON).status_code == 200
    state = watched.state()
    [tenant] = state["tenants"]
    assert (tenant["tenant"], tenant["calls"], tenant["in_flight"]) == ("default", 1, 0)
    assert tenant["nanousd"] == state["spent_today_nanousd"] > 0
    assert (state["in_flight"], state["waiting"]) == (0, 0)
    assert state["gateway"] == {"served": 1, "refused": 0, "is_draining": False, "held_by_keys": []}
    assert state["pools"][0]["pool"] == "anthropic/opus-4"
    watched.serving.engine.flush()
    used = watched.get("/headway/v1/usage?by=tenant&since=1h")
    assert used["lines"][0]["cost_nanousd"] == tenant["nanousd"]


def test_who_waits_for_what_is_in_the_state(watch: Watch) -> None:
    watched = watch(limits="requests=60/min", burst="1s")
    callers = [
        threading.Thread(
            target=watched.calls.post,
            args=("/v1/messages",),
            kwargs={"content": BODY, "headers": {**JSON, "headway-class": class_}},
        )
        for class_ in ("bulk", "bulk", "standard")
    ]
    watched.calls.post("/v1/messages", content=BODY, headers=JSON)
    for caller in callers:
        caller.start()
    wait_until(lambda: watched.state()["waiting"] == 3)
    [pool] = watched.state()["pools"]
    [limit] = pool["limits"]
    assert pool["waits_for"] == "requests"
    assert 0.0 < pool["clears_in_s"] <= 1.0
    assert limit["binds"]
    assert limit["amount"] == 60.0
    assert [(queue["class"], queue["tenant"], queue["waiting"]) for queue in pool["line"]] == [
        ("standard", "default", 1),
        ("bulk", "default", 2),
    ]
    for caller in callers:
        caller.join()
    assert watched.state()["waiting"] == 0


def test_a_refusal_is_remembered_with_its_limit(watch: Watch) -> None:
    watched = watch(limits="requests=1/min", burst="60s")
    for expected in (200, 429):
        answer = watched.calls.post("/v1/messages", content=BODY, headers={**JSON, "headway-max-wait": "1s"})
        assert answer.status_code == expected
    [refusal] = watched.state()["refusals"]
    assert (refusal["by"], refusal["tenant"], refusal["model"]) == ("headway", "default", "claude-opus-4-8")
    assert refusal["limit"] == "1 requests/min"
    assert 1.0 < refusal["wait_s"] <= 60.0


def test_budgets_show_what_is_spent(watch: Watch) -> None:
    watched = watch()
    headers = {**JSON, "headway-session": "nightly", "headway-budget": "1usd"}
    watched.calls.post("/v1/messages", content=BODY, headers=headers)
    [budget] = watched.get("/headway/v1/budgets")["budgets"]
    assert (budget["budget"], budget["unit"], budget["cap"], budget["held"]) == (
        "session nightly",
        "usd",
        10**9,
        0,
    )
    assert budget["spent"] == watched.state()["spent_today_nanousd"]


@pytest.mark.parametrize("query", ["by=nothing", "since=yesterday", "by=", "since=-3h", "since=4w"])
def test_a_query_that_cannot_be_answered_is_400_and_says_why(watch: Watch, query: str) -> None:
    answer = watch().admin.get(f"/headway/v1/usage?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["hint"]


def test_without_a_ledger_usage_says_so(watch: Watch) -> None:
    watched = watch()
    watched.serving.engine.ledger = type(watched.serving.engine)(ledger="none", api_key="any").ledger
    assert "no ledger" in watched.admin.get("/headway/v1/usage").json()["error"]["message"]


def test_no_key_and_no_word_of_a_prompt_is_in_any_answer(watch: Watch) -> None:
    watched = watch()
    secret = "the-word-in-the-prompt"
    body = json.dumps({**json.loads(BODY), "messages": [{"role": "user", "content": secret}]}).encode()
    watched.calls.post("/v1/messages", content=body, headers={**JSON, "x-api-key": "hw-nobody-secretsecret"})
    watched.serving.engine.flush()
    pages = [watched.admin.get(f"/headway/v1/{path}").text for path in PATHS]
    for page in (*pages, watched.admin.get("/metrics").text, watched.log.getvalue().decode()):
        assert secret not in page
        assert "sk-upstream" not in page
        assert "secretsecret" not in page


def test_the_token_is_that_of_the_environment_or_a_new_one() -> None:
    assert token_of({"HEADWAY_ADMIN_TOKEN": TOKEN}) == (TOKEN, False)
    first, is_new = token_of({})
    assert is_new
    assert len(first) >= SHORTEST
    assert token_of({"HEADWAY_ADMIN_TOKEN": " "})[0] not in ("", first)


def test_a_token_that_can_be_guessed_is_refused_without_being_said() -> None:
    with pytest.raises(ConfigError) as caught:
        token_of({"HEADWAY_ADMIN_TOKEN": "hunter2"})
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
