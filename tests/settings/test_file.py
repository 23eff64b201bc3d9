from __future__ import annotations

import os
from pathlib import Path

import pytest

from headway.errors import ConfigError
from headway.settings.file import find, read


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    return tmp_path


def put(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "headway.toml").touch()
    return folder / "headway.toml"


def test_the_nearest_file_counts(home: Path) -> None:
    work = home / "a" / "b"
    work.mkdir(parents=True)
    assert find({}, work).file is None
    for folder in (home / ".config" / "headway", home, home / "a", work):
        nearest = put(folder)
        assert find({}, work).file == nearest


def test_all_places_are_named_nearest_first(home: Path) -> None:
    (home / "a").mkdir()
    wanted = (home / "a", home, home / ".config" / "headway")
    assert find({}, home / "a").looked == tuple(folder / "headway.toml" for folder in wanted)


@pytest.mark.parametrize("kind", ["folder", "file"])  # a file: in a worktree
def test_a_repository_ends_the_way_up(home: Path, kind: str) -> None:
    put(home)
    inner = home / "repository" / "inner"
    inner.mkdir(parents=True)
    mark = home / "repository" / ".git"
    mark.mkdir() if kind == "folder" else mark.touch()
    assert find({}, inner).file is None
    mine = put(home / "repository")
    assert find({}, inner).file == mine


def test_the_file_that_the_environment_names_is_the_only_one(home: Path) -> None:
    put(home)
    other = put(home / "other")
    assert find({"HEADWAY_CONFIG": str(other)}, home).looked == (other,)
    assert find({"HEADWAY_CONFIG": "other/headway.toml"}, home).file == other
    assert find({"HEADWAY_CONFIG": "~/other/headway.toml"}, home).file == other
    assert find({"HEADWAY_CONFIG": "none"}, home).file is None
    with pytest.raises(ConfigError, match="no such file"):
        find({"HEADWAY_CONFIG": "gone.toml"}, home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_a_file_of_another_user_on_the_way_up_is_refused(home: Path) -> None:
    theirs = put(home)
    mine = home / "mine"
    mine.mkdir()
    os.chown(theirs, 12345, -1)
    with pytest.raises(ConfigError, match="another user"):
        find({}, mine)
    assert find({"HEADWAY_CONFIG": str(theirs)}, mine).file == theirs
    os.chown(mine, 12345, -1)  # a folder that is mounted into a container
    assert find({}, mine).file == theirs


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tier = tier-2\n", ":1:8: "),
        ('a = 1\nb = "x\n', ":2:7: "),
        ("a = 1\na = 2\n", ":2:6: "),
        ("[limits\n", ":1:8: "),
        ("a = 1\nb = [5,\n6,\n", ":3: "),
    ],
)
def test_a_file_that_is_no_toml_says_where(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "headway.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}{place}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*gone\.toml"):
        read(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b"tenant = '\xe4'")
    with pytest.raises(ConfigError, match=r"latin.toml is no text in UTF-8"):
        read(tmp_path / "latin.toml")


def test_the_line_of_each_key_is_known_however_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "headway.toml"
    file.write_text(
        '\ufeff# tier = 1\ntier = "x = 1"\n"retries"=3\nsession.tenant = "t"\nlimits = { requests = 5 }\n'
        "  [ pools . 'a/b' ] # of one\n requests = 5\n[session.more]\ntext = '''\nretries = 9\nno key = 9\n[x]\n'''\n",
        "utf-8",
    )
    written = read(file)
    for line, keys in {
        2: ("tier",),
        3: ("retries",),
        4: ("session", "tenant"),
        5: ("limits",),
        6: ("pools", "a/b"),
        7: ("pools", "a/b", "requests"),
        9: ("session", "more", "text"),
    }.items():
        assert written.where(*keys) == f"{file}:{line}"
    assert written.where("limits", "requests") == str(file)
