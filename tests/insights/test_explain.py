"""Every rule is explained, with the same words in the terminal and on its page."""

from __future__ import annotations

import re

import pytest

from docs.pages import ROOT
from headway.insights.explain import EXPLANATIONS, paragraphs
from headway.insights.rules import RULES

PAGE = (ROOT / "docs" / "insights.md").read_text("utf-8")


def test_every_rule_is_explained_and_nothing_else() -> None:
    assert list(EXPLANATIONS) == list(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_the_page_says_of_a_rule_what_the_terminal_says(rule: str) -> None:
    found = re.search(rf"^### {rule}$(.*?)(?=^##|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    assert re.findall(r"^- \*\*(.+?)\*\*: (.+)$", found[1], flags=re.MULTILINE) == paragraphs(rule)


def test_the_page_has_no_other_rules() -> None:
    assert re.findall(r"^### (.+)$", PAGE, flags=re.MULTILINE) == list(RULES)
