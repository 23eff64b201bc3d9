"""Runs a job under a cost cap from a program: reads the summary, and tells a cap from a failure by the exit code.

python examples/capped_run.py job.jsonl 0.50 [more arguments of headway run]
"""

from __future__ import annotations

import json
import subprocess
import sys

STOPPED_BY_A_LIMIT = 3


def main() -> int:
    """Run it; the exit code is that of headway."""
    if len(sys.argv) < 3:
        sys.stderr.write("usage: capped_run.py JOB.jsonl DOLLARS [ARGUMENTS]\n")
        return 2
    job, dollars, *more = sys.argv[1:]
    command = ["headway", "run", job, "--max-cost", f"{dollars}usd", "--json", *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if not done.stdout:
        return done.returncode  # it did not start; headway has said why
    summary = json.loads(done.stdout)
    answered = summary["succeeded"] + summary["already_done"]
    sys.stdout.write(f"{answered} of {summary['calls']} answered, ${summary['cost_usd']:.4f} spent\n")
    if done.returncode == STOPPED_BY_A_LIMIT:
        sys.stdout.write(f"stopped: {summary['stopped']['reason']}\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
