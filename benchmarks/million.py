"""A job of a million lines against an API that answers at once: how fast, and how much memory.

The API is a process of its own and does as little as a server can; so what is measured is headway. Prints one JSON line:
seconds and resident memory of the scan, of the run, and memory at each tenth of the run.

    python benchmarks/million.py --lines 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MESSAGE = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-5",
        "content": [{"type": "text", "text": "the next station is the last one " * 8}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 50, "output_tokens": 60},
    }
).encode()
REPLY = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(MESSAGE)
    + MESSAGE
)


class Instant(asyncio.Protocol):
    """Answers each request as soon as its body is in."""

    def __init__(self) -> None:
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.index(b"content-length:") + 15
            size = int(head[at : (head + b"\r").index(b"\r", at)])
            if len(self.data) < end + 4 + size:
                return
            self.data = self.data[end + 4 + size :]
            self.transport.write(REPLY)  # type: ignore[attr-defined]  # a socket's transport can


async def serve() -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def write_job(path: Path, lines: int) -> None:
    """Short prompts of several sizes."""
    with path.open("w") as file:
        for number in range(lines):
            prompt = f"Classify note {number}: " + "the quick brown fox " * (number % 17)
            params = {
                "model": "claude-opus-4-5",
                "max_tokens": (64, 512, 4096)[number % 3],
                "messages": [{"role": "user", "content": prompt}],
            }
            file.write(json.dumps({"custom_id": f"task-{number:07}", "params": params}) + "\n")


def resident_mb(pid: int, what: str) -> float:
    """VmRSS (now) or VmHWM (most) of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.split(f"{what}:")[1].split()[0]) / 1024, 1)


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=1_000_000)
    arguments.add_argument("--serve", action="store_true")
    chosen = arguments.parse_args()
    if chosen.serve:
        asyncio.run(serve())
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server,
    ):
        try:
            assert server.stdout is not None
            print(json.dumps(measure(Path(folder), chosen.lines, int(server.stdout.readline()))))
        finally:
            server.kill()


def measure(folder: Path, lines: int, port: int) -> dict[str, object]:
    """Run the job as a process and look at its memory from outside."""
    job, output = folder / "job.jsonl", folder / "out.jsonl"
    write_job(job, lines)
    code = "from headway.cli.main import run; run()"
    options = ["--no-stream", "--concurrency", "64", "--ledger", "none", "--json"]
    command = [sys.executable, "-c", code, "run", str(job), "-o", str(output), *options]
    environment = os.environ | {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}
    began, scan_s, scan_mb, samples, most = time.monotonic(), 0.0, 0.0, [], 0.0
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        while process.poll() is None:
            time.sleep(0.1)
            size = output.stat().st_size if output.exists() else 0
            try:
                most = resident_mb(process.pid, "VmHWM")
                if not size:
                    scan_s, scan_mb = time.monotonic() - began, most
                elif size * 10 > len(samples) * lines * 530:
                    samples.append(resident_mb(process.pid, "VmRSS"))
            except (IndexError, FileNotFoundError):
                break  # it has just ended
        assert process.stdout is not None
        summary = json.loads(process.stdout.read())
    return {
        "lines": lines,
        "succeeded": summary["succeeded"],
        "scan_s": round(scan_s, 1),
        "scan_mb": scan_mb,
        "run_s": round(summary["elapsed_s"], 1),
        "calls_per_s": round(summary["succeeded"] / summary["elapsed_s"]),
        "run_mb": samples,
        "most_mb": most,
    }


if __name__ == "__main__":
    main()
