"""`python -m headway.emulator PROFILE`: what `spawn` starts. Prints its URL as one JSON line, then serves."""

from __future__ import annotations

import argparse
import json
import sys

from headway.emulator.process import wait_for_parent_to_end
from headway.emulator.profile import parse_profile
from headway.emulator.server import serve
from headway.errors import HeadwayError


def main() -> int:
    """Run it; the exit code is the error's."""
    parser = argparse.ArgumentParser(prog="python -m headway.emulator")
    parser.add_argument("profile")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--with-parent", action="store_true", help="end when standard input is closed")
    given = parser.parse_args()
    try:
        until = wait_for_parent_to_end if given.with_parent else None
        serve(parse_profile(given.profile), given.host, given.port, _announce, until)
    except HeadwayError as wrong:
        sys.stderr.write(f"{wrong} {wrong.hint}\n")
        return wrong.exit_code
    return 0


def _announce(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
