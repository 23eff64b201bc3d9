"""A page is one file that needs nothing else, does nothing but show, and is written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from headway.charts.figure import Bars, Figure, Histogram, Lines, Series
from headway.charts.page import render, save
from headway.charts.section import Numbers, Section, Table, Text
from headway.errors import MachineError, OutputError

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m'
SECTIONS = (
    Section(
        "", (Numbers((("Cost", "$41.20", "of $50"),)), Text("A note.", "note"), Text("Beware.", "warning"))
    ),
    Section(
        "Figures",
        (
            Figure("Used", Lines((Series("in", (0.0, 60.0), (0.0, 10.0)),)), "A caption."),
            Figure("Cost", Bars(("a", "b"), (1.0, 2.0), "usd")),
            Figure("Sizes", Histogram((1.0, 2.0, 3.0))),
        ),
    ),
    Section(
        "Calls",
        (Table(("model", "calls"), (("opus", "1,234"), ("haiku", "-")), "By model", ("all", "1,234")),),
    ),
)


class Seen(HTMLParser):
    """Tags, attributes and whether what is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_has_all_its_parts_and_closes_what_it_opens() -> None:
    page = render("Plan", SECTIONS, subtitle="tier-2", footer="The end.")
    seen = Seen(page)
    assert seen.open == []
    assert seen.tags.count("svg") == 3
    assert seen.tags.count("figure") == 3
    for text in (
        "Plan",
        "tier-2",
        "$41.20",
        "A note.",
        "Beware.",
        "A caption.",
        "By model",
        "1,234",
        "The end.",
    ):
        assert text in page


def test_a_page_asks_for_nothing_and_runs_nothing() -> None:
    page = render("Plan", SECTIONS)
    seen = Seen(page)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name in ("style", "src") or name.startswith("on")]
    assert all((value or "").startswith("#") for name, value in seen.attributes if name == "href")
    assert "http:" not in page.replace("http-equiv", "")
    assert "https:" not in page


def test_the_policy_allows_the_one_style_sheet_by_its_hash_and_nothing_else() -> None:
    page = render("Plan", SECTIONS)
    style = re.search(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src &#39;none&#39;; style-src &#39;sha256-{digest}&#39;" in page or (
        f"default-src 'none'; style-src 'sha256-{digest}'" in page
    )


def test_what_comes_from_outside_is_shown_and_not_obeyed() -> None:
    figures = (
        Figure(EVIL, Bars((EVIL, EVIL), (1.0, 2.0)), EVIL, EVIL),
        Figure(
            EVIL,
            Lines(
                (Series(EVIL, (0.0, 1.0), (1.0, 2.0)), Series(EVIL, (0.0, 1.0), (1.0, 2.0))),
                levels=((EVIL, 1.0),),
            ),
        ),
    )
    parts = (Text(EVIL), Numbers(((EVIL, EVIL, EVIL),)), Table((EVIL,), ((EVIL,),), EVIL, (EVIL,)), *figures)
    page = render(EVIL, (Section(EVIL, parts),), subtitle=EVIL, footer=EVIL)
    seen = Seen(page)
    assert not {"script", "img"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page


def test_the_same_parts_make_the_same_bytes_in_another_process_and_folder(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from charts.test_page import SECTIONS\nfrom headway.charts.page import render\n"
        "sys.stdout.write(render('Plan', SECTIONS))"
    )
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tests)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    here = render("Plan", SECTIONS)
    assert done.stdout == here
    assert str(tests.parent) not in here


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_extra_it_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MachineError, match=missing) as caught:
        render("Plan", SECTIONS)
    assert caught.value.hint == 'pip install "headway[charts]"'


def test_columns_of_amounts_are_set_right_and_those_of_words_left() -> None:
    columns = {
        "calls": ("1,234", "11,746 (-81%)"),
        "cost": ("$1.50", "<$0.01", "$3,578.88 (+17%)", "$6.42 ($6.34 to $6.50)", "$3+?"),
        "share": ("12%", "-", "0.2 %", "1.5×"),
        "time": ("6m 40s", "820ms", "5.6 s", "≤ 24 h", "42 s", "2h 5m", "~3 min"),
        "size": ("450k", "30", "", "?"),
    }
    for name, cells in columns.items():
        page = render("t", (Section("", (Table(("model", name), tuple(("opus", cell) for cell in cells)),)),))
        assert '<th scope="col">model</th>' in page
        assert f'<th scope="col" class="r">{name}</th>' in page, name


def test_the_names_of_several_lines_are_beside_their_colours_and_one_needs_none() -> None:
    lines = tuple(Series(f"line <{number}>", (0.0, 1.0), (1.0, float(number))) for number in range(8))
    page = render("t", (Section("", (Figure("f", Lines(lines)), Figure("g", Lines(lines[:1])))),))
    assert re.findall(r'<li class="k(\d)">line &lt;(\d)&gt;</li>', page) == [
        (str(number % 6), str(number)) for number in range(8)
    ]


def test_a_page_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plan.html"
    save(path, "old")
    save(path, "new")
    assert path.read_text("utf-8") == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["plan.html"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_page_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        save(tmp_path / "taken", "page")
    with pytest.raises(OutputError, match="No such file"):
        save(tmp_path / "none" / "plan.html", "page")
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]
