"""A conversation with the official SDK, paced by headway: one line is all that is different.

ANTHROPIC_API_KEY=... python examples/sdk_sync.py "What is a token bucket?" "And in one sentence?"

Without a key: start `headway emulate any/unlimited --port 8400` in another terminal, and before this set
ANTHROPIC_BASE_URL=http://127.0.0.1:8400 ANTHROPIC_API_KEY=any. Needs `pip install anthropic`.
"""

# ruff: noqa: T201  # a program of its own may print

from __future__ import annotations

import sys

import anthropic

import headway

MODEL = "claude-opus-4-8"


def main(questions: list[str]) -> None:
    client = anthropic.Anthropic(http_client=headway.client())  # this is the line
    said: list[anthropic.types.MessageParam] = []
    with headway.session("conversation"):
        for question in questions:
            said.append({"role": "user", "content": question})
            with client.messages.stream(model=MODEL, max_tokens=500, messages=said) as stream:
                for text in stream.text_stream:
                    print(text, end="", flush=True)
                answer = stream.get_final_message()
            if answer.stop_reason is None:
                sys.exit("\nthe stream ended too early")
            print()
            said.append({"role": "assistant", "content": stream.get_final_text()})
    for total in headway.engine().usage():
        tokens = f"{total.input_tokens:,} tokens in, {total.output_tokens:,} out"
        print(f"{total.session}: {total.calls} calls, {tokens}, ${total.nanousd / 1e9:.4f}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:] or ["What is a token bucket?"])
