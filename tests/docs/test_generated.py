"""docs/reference.md says what the docstrings say now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import headway
from docs.pages import ROOT, anchors
from docs.test_blocks import environment

REFERENCE = ROOT / "scripts" / "reference"


def test_the_reference_is_what_the_docstrings_say(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(REFERENCE), "--check"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_is_in_the_reference() -> None:
    found = anchors(ROOT / "docs" / "reference.md")
    for name in headway.__all__:
        assert {name.lower(), f"headway{name}"} & found or name == "__version__", name
