"""64 calls at once with the asynchronous SDK, as fast as the limits allow, without a 429.

ANTHROPIC_API_KEY=... python examples/sdk_async.py

Start as many tasks as there is work: no semaphore, no sleep, no retry. headway lets each call go when it fits. Without a
key: see sdk_sync.py. Needs `pip install anthropic`.
"""

# ruff: noqa: T201  # a program of its own may print

from __future__ import annotations

import asyncio
import time

import anthropic

import headway

MODEL, TASKS = "claude-opus-4-8", 64


async def main() -> None:
    waits: list[float] = []
    engine = headway.Engine(hooks=headway.Hooks(admitted=lambda news: waits.append(news.queued_s)))
    began = time.monotonic()
    async with anthropic.AsyncAnthropic(http_client=headway.async_client(engine=engine)) as client:

        async def ask(number: int) -> int:
            message = await client.messages.create(
                model=MODEL,
                max_tokens=100,
                messages=[{"role": "user", "content": f"Tell me a fact about the number {number}."}],
            )
            return message.usage.output_tokens

        tokens = sum(await asyncio.gather(*(ask(number) for number in range(TASKS))))
    refused = sum(total.refused for total in engine.usage())
    print(f"{TASKS} answers, {tokens:,} tokens, {time.monotonic() - began:.1f} s, {refused} refused (429)")
    print(f"in line for {sum(waits) / len(waits):.1f} s on average, {max(waits):.1f} s at most")
    engine.close()


if __name__ == "__main__":
    asyncio.run(main())
