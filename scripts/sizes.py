"""Fails when a module has grown beyond 400 lines, a function beyond 50, or a file sits too deep in the tree."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

MOST_LINES, MOST_FUNCTION_LINES = 400, 50
# Declarations of options are one argument each and no logic: the commands of the command line may be longer.
LONG_BY_NATURE = {
    "cli/run.py": 140,
    "cli/plan.py": 125,
    "cli/serve.py": 100,
    "cli/exec.py": 60,
    "cli/usage.py": 70,
}

root = Path(__file__).resolve().parent.parent / "src" / "headway"
wrong: list[str] = []
for path in sorted(root.rglob("*.py")):
    name = path.relative_to(root)
    text = path.read_text("utf-8")
    count = text.count("\n")
    if count > MOST_LINES:
        wrong.append(f"{name}: {count} lines, more than {MOST_LINES}")
    if len(name.parts) > 2:
        wrong.append(f"{name}: deeper than package/module.py")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONG_BY_NATURE.get(str(name), MOST_FUNCTION_LINES):
                wrong.append(f"{name}:{node.lineno}: {node.name} has {length} lines")
print("\n".join(wrong) if wrong else "", end="\n" if wrong else "")
sys.exit(bool(wrong))
