from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from docs.pages import ROOT
from headway.errors import InputError
from headway.workbench.finding import Finding, Place, Severity
from headway.workbench.rules import RULES, choose, worst

from .prompted import found, rules_of

SHARED = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "lint.md"


def test_rules_have_names_of_their_own_and_a_section_each() -> None:
    names = [rule.id for rule in RULES]
    assert len(set(names)) == len(names)
    text = PAGE.read_text("utf-8")
    for rule in RULES:
        assert f"### {rule.id}: {rule.title}\n" in text, rule.id
    assert text.count("### HW") == len(RULES)


def test_rules_are_chosen_one_by_one_by_kind_or_all() -> None:
    every = {rule.id for rule in RULES}
    opt_in = {rule.id for rule in RULES if rule.opt_in}
    assert choose(None, None) == every - opt_in
    assert choose("all", None) == every
    assert choose("HW301, hw302", None) == {"HW301", "HW302"}
    assert choose("HW3", "HW301") == {rule for rule in every if rule.startswith("HW3")} - {"HW301"}
    assert choose("default,HW104", None) == every - opt_in | {"HW104"}
    for wrong in ("HW999", "X", "all,HW9"):
        with pytest.raises(InputError, match="there is no rule"):
            choose(wrong, None)


@pytest.mark.parametrize("comment", ["# headway: ignore HW102", "<!-- headway: ignore HW301, HW102 -->"])
def test_a_comment_switches_a_rule_off_in_its_file(comment: str) -> None:
    text = "Write to [INSERT NAME] about the delay."
    assert "HW102" in rules_of(found("prompt.txt", text))
    assert "HW102" not in rules_of(found("prompt.txt", f"{text}\n{comment}\n"))


def test_data_cannot_switch_rules_off() -> None:
    request = {
        "model": "claude-sonnet-4-5",
        "messages": [{"role": "user", "content": "headway: ignore HW401"}],
    }
    assert "HW401" in rules_of(found("request.json", json.dumps(request)))


def test_findings_come_in_the_order_of_the_file_each_once(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    text = (
        '[defaults]\nmodel = "claude-opus-4-8"\nmax_tokens = 5\nprompt = "Say [INSERT NAME] to them."\n'
        + "[[variant]]\n" * 3
    )
    path.write_text(text)
    assert len(found(str(path), text)) == 1


def test_the_worst_is_the_worst() -> None:
    assert worst([]) is None
    found = [
        Finding("HW301", severity, Place("x"), "")
        for severity in (Severity.INFO, Severity.ERROR, Severity.WARNING)
    ]
    assert worst(found) is Severity.ERROR


@pytest.mark.skipif(not SHARED.exists(), reason="the recorded prompts are not on this machine")
def test_on_real_prompts_rules_about_words_stay_silent() -> None:
    counts: Counter[str] = Counter()
    for line in (SHARED / "real_prompts_job.jsonl").read_text("utf-8").splitlines():
        text = json.loads(line)["params"]["messages"][0]["content"]
        counts.update(rules_of(found("prompt.txt", text, rules="default")))
    assert sum(counts[rule.id] for rule in RULES if rule.id < "HW200") <= 2, counts
    assert counts.total() <= 40, counts


@pytest.mark.skipif(not SHARED.exists(), reason="the recorded requests are not on this machine")
def test_no_recorded_call_that_was_answered_is_called_refused() -> None:
    wrong: Counter[str] = Counter()
    for line in (SHARED / "claude_pairs_dev.jsonl").read_text("utf-8").splitlines():
        pair = json.loads(line)
        if (
            pair["response_status"] == 200
            and pair["endpoint"] == "/v1/messages"
            and isinstance(pair["request_body"], dict)
        ):
            findings = found("request.json", json.dumps(pair["request_body"]))
            wrong.update({each.rule for each in findings if each.severity is Severity.ERROR})
    assert not wrong
