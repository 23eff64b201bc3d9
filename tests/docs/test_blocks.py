"""Every block of bash, console, python and sql in the pages is run, in order, in a folder of its own for each page.

Blocks with tests in them are run last, all those of a page in one pytest.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from docs.pages import ROOT, RUN, Block, all_pages, blocks
from headway.testing.emulated import Emulator

PAGES = [page for page in all_pages() if any(block.language in RUN for block in blocks(page))]
NOT_RUN = 6  # blocks that say why they are not run: count again when you add or mend one


def environment(home: Path) -> dict[str, str]:
    """A user of their own, without keys, with `headway` on the path."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "HOME": str(home), "COLUMNS": "200", "HEADWAY_EXAMPLES": str(ROOT / "examples")}


def run(block: Block, folder: Path, more: Mapping[str, str] | None = None) -> None:
    """Run a block; raises AssertionError with what it said if it does not do what the page says. `more`: environment."""
    match block.language:
        case "bash":
            check(block, bash(block.text, folder, more))
        case "console":
            check(block, console(block, folder, more))
        case "python":
            path = folder / f"block_{block.line}.py"
            path.write_text(block.text, "utf-8")
            check(block, execute([sys.executable, str(path)], folder, more))
        case "sql":
            with closing(sqlite3.connect(folder / "ledger.sqlite3")) as ledger:
                rows = ledger.execute(block.text).fetchall()
            assert rows, f"{block}: no rows"
        case _:
            raise AssertionError(f"{block}: nobody knows how to run {block.language}")


def run_tests(tests: list[Block], folder: Path) -> None:
    """Run the blocks that are tests; raises AssertionError if one of them fails."""
    paths = []
    for block in tests:
        paths.append(folder / f"test_block_{block.line}.py")
        paths[-1].write_text(block.text, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, paths)]
    done = execute(command, folder)
    assert done.returncode == 0, f"{tests[0]}: exit {done.returncode}\n{done.stdout}{done.stderr}"


def bash(text: str, folder: Path, more: Mapping[str, str] | None) -> subprocess.CompletedProcess[str]:
    return execute(["bash", "-euo", "pipefail", "-c", text], folder, more)


def execute(
    command: list[str], folder: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    its = environment(folder) | (more or {})
    return subprocess.run(
        command, cwd=folder, env=its, capture_output=True, text=True, timeout=60, check=False
    )


def console(block: Block, folder: Path, more: Mapping[str, str] | None) -> subprocess.CompletedProcess[str]:
    """Run what stands after `$ `; each other line must be in what is said. `…` stands for anything."""
    commands: list[str] = []
    shown: list[str] = []
    here = ""  # what ends the here-document that we are in
    for line in block.text.splitlines():
        if line.startswith("$ ") or here:
            commands.append(line if here else line[2:])
            start = re.search(r"<<'(\w+)'", line)
            here = start[1] if start else "" if line == here else here
        elif line.strip():
            shown.append(line)
    done = bash("\n".join(commands), folder, more)
    said = [" ".join(line.split()) for line in (done.stdout + done.stderr).splitlines()]
    for line in shown:
        pattern = re.escape(" ".join(line.split())).replace("…", ".*")
        if "about" in block.marks:
            pattern = re.sub(rf"\b{block.marks['about']}\b", r"\\d+", pattern)
        found = any(re.fullmatch(pattern, each) for each in said)
        assert found, f"{block}: {line!r} is not in\n" + "\n".join(said)
    return done


def check(block: Block, done: subprocess.CompletedProcess[str]) -> None:
    wanted = int(block.marks.get("exit", "0"))
    assert done.returncode == wanted, f"{block}: exit {done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_blocks_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    more: dict[str, str] = {}
    tests: list[Block] = []
    with ExitStack() as emulators:
        for block in blocks(page):
            if "emulator" in block.marks:
                emulator = emulators.enter_context(Emulator(block.marks["emulator"]))
                more = {"ANTHROPIC_BASE_URL": emulator.url, "ANTHROPIC_API_KEY": "any"}
            if "file" in block.marks:
                (tmp_path / block.marks["file"]).write_text(block.text, "utf-8")
            elif block.language == "python" and "def test_" in block.text:
                tests.append(block)
            elif block.language in RUN and "not run" not in block.marks:
                run(block, tmp_path, more)
    if tests:
        run_tests(tests, tmp_path)


def test_blocks_that_are_not_run_say_why_and_are_counted() -> None:
    why = Counter(
        block.marks["not run"] for page in PAGES for block in blocks(page) if "not run" in block.marks
    )
    assert why.total() == NOT_RUN, why
    assert all(len(reason.split()) >= 3 for reason in why), why


def test_a_block_that_fails_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\nexit 4\n```\n\n```console\n$ echo one two\none three\n```\n\n<!-- exit: 4 -->\n```bash\nexit 4\n```\n"
    )
    wrong_code, wrong_text, right = (
        Block(ROOT / "page.md", block.line, block.language, block.text, block.marks) for block in blocks(page)
    )
    for wrong in (wrong_code, wrong_text):
        with pytest.raises(AssertionError):
            run(wrong, tmp_path)
    run(right, tmp_path)
    failing = Block(ROOT / "page.md", 1, "python", "def test_it():\n    assert False\n", {})
    with pytest.raises(AssertionError):
        run_tests([failing], tmp_path)
