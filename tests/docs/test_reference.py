"""Every flag, setting, error, environment variable, column and key is on the page that lists them, and no other is."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from docs.pages import ROOT, RUN, all_pages, anchors, blocks, links, prose
from headway import errors
from headway.cli.commands import COMMANDS as THERE
from headway.cli.main import app
from headway.core.call import Class, Fault, Unit
from headway.core.engine import Engine
from headway.emulator.books import Books
from headway.emulator.profile import SETTINGS
from headway.emulator.tiers import Limits
from headway.jobs.summary import summarise
from headway.jobs.tally import Tally
from headway.settings.kinds import LIMITED
from headway.settings.table import SETTINGS as TABLE
from headway.stores.memory import MemoryStore

DOCS = ROOT / "docs"
PAGES = all_pages()
CONFIGURATION = (DOCS / "configuration.md").read_text("utf-8")
COMMANDS = (
    *("run", "plan", "usage", "count", "models", "emulate", "config check", "config init"),
    *("keys add", "keys list", "keys rotate", "keys revoke"),
    *("usage session", "usage budgets", "usage waits", "usage estimates"),
    *("ledger info", "ledger prune", "ledger vacuum"),
    *("serve", "exec", "top", "doctor", "reconcile", "insights", "compare", "lint"),
)
OF_ALL = {"--help", "-h", "--version", "--install-completion", "--show-completion"}
OF_OTHERS = {"--list", "--table", "--strict"}  # of other programs that the pages name
WORDS = "call attempt reply limit unit pool meter store estimate usage ticket line tenant class budget session ledger catalog"


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of the same level."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {heading!r}"
    return found[1]


def table_keys(text: str) -> set[str]:
    """Everything in back quotes in the first cells of the tables of a text."""
    return {
        key
        for cell in re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
        for key in re.findall(r"`([^`]+)`", cell)
    }


def flags(command: str) -> set[str]:
    known = typer.main.get_command(app)
    for word in command.split():
        known = known.get_command(None, word)  # type: ignore[attr-defined]  # it is a group
    return {
        flag
        for option in known.params
        for flag in (*option.opts, *option.secondary_opts)
        if flag.startswith("-")
    }


@pytest.mark.parametrize("command", sorted({command.split()[0] for command in COMMANDS}))
def test_the_flags_of_a_command_are_on_the_page_and_no_others(command: str) -> None:
    known = set().union(*(flags(each) for each in COMMANDS if each.split()[0] == command))
    assert table_keys(section(CONFIGURATION, f"headway {command}")) == known - OF_ALL


def test_every_flag_on_any_page_exists() -> None:
    known = set().union(OF_ALL, OF_OTHERS, *(flags(command) for command in COMMANDS))
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text("utf-8")))
        assert named <= known, f"{page.name}: {named - known}"


def test_every_command_on_any_page_exists() -> None:
    known = set(THERE)
    for page in PAGES:
        code = "".join(block.text for block in blocks(page) if block.language in RUN)
        named = set(re.findall(r"(?:^|[|$] )headway ([a-z]+)", code, flags=re.MULTILINE))
        named |= set(re.findall(r"`headway ([a-z]+)", prose(page)))
        assert named <= known, f"{page.name}: {named - known}"


def test_every_error_is_on_the_page_with_its_exit_code() -> None:
    listed = dict(
        re.findall(r"^\| `(\w+)` \|.*\| (\d) \|$", section(CONFIGURATION, "Errors"), flags=re.MULTILINE)
    )
    raised = {
        name: str(error.exit_code)
        for name, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.HeadwayError)
    }
    assert listed == raised


def test_every_environment_variable_that_is_read_is_on_the_page_and_no_other() -> None:
    read = r"""["'](ANTHROPIC_[A-Z_]+|HEADWAY_[A-Z_]+)["']|(?:environ(?:ment)?(?:\.get\(|\[)|getenv\(|envvar=)["'](\w+)["']"""
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert table_keys(section(CONFIGURATION, "Environment")) == {
        first or second for first, second in re.findall(read, sources)
    }


def test_every_key_of_the_settings_file_is_on_the_page_and_no_other() -> None:
    limits = {f"limits.{unit}" for unit in LIMITED}
    known = {setting.key for setting in TABLE} | limits | {"pools.POOL"}
    assert table_keys(section(CONFIGURATION, "headway.toml")) == known


def test_every_variable_of_a_setting_is_beside_its_key() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \| `([\w.]+)`", section(CONFIGURATION, "Environment"), flags=re.MULTILINE)
    )
    assert rows == {setting.variable: setting.key for setting in TABLE}


def test_every_setting_of_a_profile_is_on_the_page_and_no_other() -> None:
    page = (DOCS / "emulator.md").read_text("utf-8")
    listed = table_keys(section(page, "Settings")) | table_keys(section(page, "Faults"))
    assert listed == {known.key for known in SETTINGS} | {unit.name for unit in fields(Limits)} | {
        "time_scale"
    }


def test_every_entry_of_the_books_is_on_the_page_and_no_other() -> None:
    page = (DOCS / "emulator.md").read_text("utf-8")
    assert table_keys(section(page, "Books")) == set(Books().show(markers=True)) | {"levels"}


def test_every_column_of_the_ledger_is_on_the_page_and_no_other() -> None:
    scripts = sorted((ROOT / "src/headway/ledger/schema").glob("*.sql"))
    created = "".join(script.read_text("utf-8") for script in scripts)
    attempts = re.search(r"CREATE TABLE attempts \((.*?)\n\)", created, flags=re.DOTALL)
    assert attempts is not None
    columns = set(re.findall(r"^    (\w+) +[A-Z]", attempts[1], flags=re.MULTILINE))
    columns |= set(re.findall(r"ALTER TABLE attempts ADD COLUMN (\w+)", created))
    assert table_keys(section((DOCS / "ledger.md").read_text("utf-8"), "Schema")) == columns


def test_every_key_of_the_summary_is_on_the_page_and_no_other() -> None:
    shown = summarise(Tally(), Engine(MemoryStore()), None, output="", now=1.0)
    assert table_keys(section((DOCS / "jobs.md").read_text("utf-8"), "While it runs")) == set(shown)


def test_the_words_of_the_design_and_of_the_code_are_in_the_glossary() -> None:
    glossary = (DOCS / "glossary.md").read_text("utf-8")
    terms = re.findall(r"\*\*([\w-]+)\*\*", glossary)
    assert set(WORDS.split()) <= set(terms)
    for value in (*Class, *Unit, *Fault):
        assert f"`{value}`" in glossary, value


def test_the_words_of_the_glossary_are_used_in_the_code() -> None:
    glossary = (DOCS / "glossary.md").read_text("utf-8")
    sources = "".join(path.read_text("utf-8").lower() for path in (ROOT / "src").rglob("*.py"))
    for term in re.findall(r"\*\*([\w-]+)\*\*", glossary):
        assert re.search(rf"\b{term}s?\b", sources), term


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or not page.exists():
            continue
        reached.add(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.is_dir():
                target = target / "README.md"
            if target.suffix == ".md":
                ahead.append(target)
    assert {page for page in PAGES if page not in reached} == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150
