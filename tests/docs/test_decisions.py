"""The measurements behind the decision notes still run, and still say what the notes conclude from them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from docs.pages import ROOT
from docs.test_blocks import environment


def measured(number: str, folder: Path) -> str:
    command = [sys.executable, str(ROOT / "docs/decisions/measure.py"), number]
    done = subprocess.run(
        command, env=environment(folder), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_the_most_a_call_can_cost_keeps_a_cap(tmp_path: Path) -> None:
    said = measured("6", tmp_path)
    spent = [float(most) for most in re.findall(r"to ([\d.]+) of the cap", said)]
    worst, usual, nothing = spent
    assert worst <= 1.0 < usual < nothing


def test_the_stratified_order_is_no_slower_than_chance_and_much_faster_than_the_file(tmp_path: Path) -> None:
    said = measured("4", tmp_path)
    file, chance, stratified = (float(ratio) for ratio in re.findall(r"([\d.]+) x bound", said))
    assert stratified <= chance + 0.02
    assert file > 1.3 * stratified


def test_only_a_careful_start_is_never_refused(tmp_path: Path) -> None:
    said = measured("8", tmp_path)
    by_name: dict[str, list[float]] = {}
    for name, refused in re.findall(
        r"^  (\S.*?) +[\d.]+ x bound +([\d.]+)% refused", said, flags=re.MULTILINE
    ):
        by_name.setdefault(name, []).append(float(refused))
    assert len(by_name) == 5
    assert max(by_name["one, then the rest"]) == 0.0
    assert max(by_name["at the pace of the lowest tier"]) == 0.0
    assert max(by_name["four at once, then more"]) > 1.0
    assert min(by_name["all at once"]) > 15.0
