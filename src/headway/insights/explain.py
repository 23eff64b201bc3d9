"""What each rule looks for, why, how it reckons, from which sample on, what to change, and when it does not apply.

The page docs/insights.md has the same words: a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.insights import thresholds as t


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule, for people."""

    what: str
    why: str
    how: str
    sample: str
    change: str
    not_when: str


EXPLANATIONS: dict[str, Explanation] = {
    "uncached-prefix": Explanation(
        what="Requests that begin alike (tools, system prompt, documents, earlier turns) and pay the full price of"
        " input for all of it each time.",
        why="A cache read costs a tenth of the price or less, and on current Claude models does not count against the"
        " limit of input tokens.",
        how="The requests are played again, in order, with a breakpoint after the system prompt, after the first"
        " block of the first message, or on the last message; with entries that live 5 minutes or an hour. Reads and"
        " writes are priced as they would have been; the saving is what was paid less that. Tokens of a block are its"
        " bytes, scaled by the request's own count. The best way of each slice is shown.",
        sample=f"{t.LEAST_CALLS} calls that would have read.",
        change="Set the breakpoint that is shown.",
        not_when="It needs fingerprints. Prefixes below the model's least cacheable length cannot be cached. Calls"
        " sent at the same instant cannot read what none of them has written yet: through headway one goes first.",
    ),
    "broken-prefix": Explanation(
        what="Requests that are alike but for one block near the beginning: a time in the system prompt, tools in another"
        " order, an earlier message rewritten.",
        why="The cache reads beginnings. What lies behind a change is never read, and is written anew at 1.25"
        " times the price.",
        how="Each request is compared with the one before it in its session (without sessions: in its slice, among"
        " those that look alike). Where the names of their cuts part, content differs; where the sizes behind run on"
        " in step, it is the same again. Had the change stood at the end, all but the changed block would have"
        " been read.",
        sample=f"{t.LEAST_CALLS} breaks at the same place, and at least {t.BREAK_SHARE:.0%} of the steps.",
        change="Move what changes to the end, or keep it still. Sort tools by name.",
        not_when="It needs fingerprints; without them see unread-cache and growing-history. A prompt that is cut or"
        " compacted now and then is no break.",
    ),
    "unread-cache": Explanation(
        what="Cache entries that are written and hardly ever read.",
        why="Writing costs 1.25 times the price of input (2 times for an hour); only reads earn that back.",
        how="Per slice: what writes cost above plain input, less what reads saved. If that is a loss, it is the saving.",
        sample=f"{t.LEAST_CALLS} calls that wrote.",
        change="Leave cache_control out, or set it before what differs from call to call.",
        not_when="Another finding names the cause (broken-prefix, cache-lifetime, growing-history).",
    ),
    "cache-lifetime": Explanation(
        what="Entries that expired after 5 minutes shortly before the next call; or entries paid for an hour although"
        " calls come within 5 minutes.",
        why="An hour costs 2 times the price of input to write, 5 minutes 1.25 times; each read prolongs an"
        " entry by its life.",
        how="Pauses within a session (or between calls with the same system prompt) tell which writes an hour's life"
        " would have turned into reads. All writes are counted at the other price, so a change that would not"
        " pay is not shown.",
        sample=f"{t.LEAST_CALLS} rewrites after 5 to 60 minutes; or {t.LEAST_CALLS} writes for an hour, which are read; and"
        f" {t.LIFE_SHARE:.0%} of what the slice costs, and two standard errors.",
        change='Add "ttl": "1h" to cache_control, or leave it out.',
        not_when="Without fingerprints and sessions it rests on equal lengths and says likely.",
    ),
    "growing-history": Explanation(
        what="Conversations in which the history that is sent again with each turn is most of the cost.",
        why="Each turn sends all turns before it: cost grows with the square of the length.",
        how="The history of a call is what the call before it sent, at the price it was paid. Uncached: the saving is"
        " what caching would have saved, writes counted. Cached, and longer than"
        f" {t.CACHED_HISTORY_TOKENS:,} tokens a call: it is asked whether compacting at {t.COMPACT_AT:,} tokens to"
        f" {t.COMPACT_TO:,} (a summary of {t.SUMMARY:,} paid as output) would do.",
        sample=f"{t.LEAST_HISTORY} calls, in sessions of at least {t.LEAST_TURNS} that grew {t.GROWN_TIMES:g} times, with"
        f" {t.HISTORY_SHARE:.0%} of their cost in history.",
        change="Automatic caching; headway.context.fit or compaction for the long ones.",
        not_when="Calls without a session. Well-cached conversations of ordinary length are left alone.",
    ),
    "batch": Explanation(
        what="Bulk work (class bulk, or a job that is not interactive) at the full price.",
        why="The Message Batches API costs half, and draws on limits of its own.",
        how="Each call is priced again with the batch price of its model and day.",
        sample=f"{t.LEAST_BATCH} calls.",
        change="Send the job as a batch, if its results may take up to 24 hours.",
        not_when="Each call needs the reply of the one before (sessions of several calls), fast mode, other providers.",
    ),
    "price-step": Explanation(
        what="Prompts a little longer than the length at which a model's price steps up for the whole prompt.",
        why="Beyond 100,000 tokens Claude Haiku 5.5 costs five times as much, for every token.",
        how=f"Prompts up to {t.STEP_OVER:g} times that length are priced as if they had been trimmed to it.",
        sample=f"{t.LEAST_CALLS} prompts.",
        change="Keep them below it: headway.context.fit.",
        not_when="Models with one price for all lengths.",
    ),
    "model-choice": Explanation(
        what="Short, even answers from a large model. A question, never a verdict: the ledger knows how long an"
        " answer was, not how good.",
        why="Smaller models cost a tenth.",
        how=f"95 % of replies within {t.SHORT_TOKENS} tokens, P90 less P10 within {t.EVEN_TOKENS}, prompts within"
        f" {t.SHORT_PROMPT:,}, no thinking. The same tokens are priced for active models of other families that cost"
        f" at most {t.CHEAPER:.0%} (30 % more tokens for the newer tokenizer). Not part of the total.",
        sample=f"{t.LEAST_SHAPE} calls.",
        change="Compare the models on the same inputs first: headway compare.",
        not_when="The answer is short and hard.",
    ),
    "repeated-requests": Explanation(
        what="Requests that are, word for word, those of the 24 hours before.",
        why="The answer had been paid for.",
        how="The name of the last cut is that of the whole request. The saving is the cost of all but the first.",
        sample=f"{t.LEAST_CALLS} repeats, at least {t.REPEAT_SHARE:.0%} of the slice.",
        change="Keep answers by request and use them again.",
        not_when="Many answers to one question are wanted (votes, samples), or the answer changes with time. It needs"
        " fingerprints.",
    ),
    "cut-replies": Explanation(
        what="Replies that ended at max_tokens and whose request came again soon after.",
        why="Both are paid. On Claude a larger max_tokens costs nothing by itself.",
        how="The same request (by fingerprint; else the same session or label and the same length) within 15 minutes. The"
        " saving is the cost of the replies that were cut.",
        sample=f"{t.LEAST_CALLS} that were asked again, at least {t.CUT_SHARE:.0%} of replies cut.",
        change="Ask for more at once.",
        not_when="Cutting is meant, and nobody asks again.",
    ),
    "paid-failures": Explanation(
        what="Attempts that gave no reply and were billed all the same: cancelled, broken off, lost.",
        why="A call that is dropped after it has begun runs on and is billed.",
        how="The cost of these attempts as the ledger estimates it. If nearly all were cancelled after the same time,"
        " it is a timeout.",
        sample=f"{t.LEAST_CALLS} attempts, at least {t.PAID_SHARE:.0%} of what the slice costs.",
        change="Longer timeouts, streaming, a clean stop of processes.",
        not_when="People cancel because they have seen enough.",
    ),
    "always-failing": Explanation(
        what="Calls of one kind that always fail with the same error.",
        why="They use requests of the limit and stand in line; somebody may wait for them.",
        how=f"A slice without one reply. With {t.FAILED_CALLS} calls the true rate of success is below"
        f" {3 / t.FAILED_CALLS:.0%} (95 %, rule of three).",
        sample=f"{t.FAILED_CALLS} calls with the same type of error and no success.",
        change="Put the request right, or stop sending it.",
        not_when="Refusals by limits and overload, which pass.",
    ),
    "binding-limit": Explanation(
        what="A limit of the provider that calls wait for, often.",
        why="What waits, waits for tokens that could be had: by a higher limit, by caching, by asking for less.",
        how="A minute counts as bound if a call waited in it for more than a second; shares are of the minutes with"
        " calls (bulk: of all the time, at least a day). The limit's amount is what replies taught, else that of the"
        " lowest tier whose published amounts the pool stayed within.",
        sample=f"{t.LEAST_WAITS} calls that waited, {t.BOUND_SHARE:.0%} of the busy time (bulk:"
        f" {t.BOUND_SHARE_BULK:.0%} of all).",
        change="The next tier, if one is published; cached input; batches.",
        not_when="A job at its limit for a while is as it should be. Where the ledger does not say what a call waited"
        " for, the finding names no limit.",
    ),
    "idle-quota": Explanation(
        what="Calls that wait for a bound of yours (max_in_flight, a budget, a tenant's cap) while the provider's"
        " limits are not used.",
        why="The quota of a minute that passes unused is gone.",
        how=f"In the minutes in which they waited at least {t.IDLE_SHARE:.0%} of every limit was free. Where no limit"
        " is known: the provider refused nobody.",
        sample=f"{t.LEAST_WAITS} calls that waited, {t.BOUND_SHARE:.0%} of the busy time.",
        change="Raise the bound.",
        not_when="The bound is meant: a budget that saves money is doing its work.",
    ),
    "reserved-output": Explanation(
        what="max_tokens far above what replies use, at a provider that counts it when a call starts.",
        why="OpenAI, Azure, Groq, Bedrock and Cerebras hold max_tokens against the limit. Anthropic does not: there"
        " it costs nothing, and nothing is claimed.",
        how=f"The mean max_tokens is at least {t.RESERVED_TIMES:g} times the P99 of output. What"
        f" {t.ROOM_OVER_P99:g} times the P99 would free is shown as quota, not as money.",
        sample=f"{t.LEAST_SHAPE} calls whose max_tokens is known.",
        change="A max_tokens with some room over the P99.",
        not_when="Anthropic.",
    ),
}


def paragraphs(name: str) -> list[tuple[str, str]]:
    """The explanation of a rule as (heading, text), in the order to read it."""
    told = EXPLANATIONS[name]
    return [
        ("What", told.what),
        ("Why", told.why),
        ("How", told.how),
        ("From", told.sample),
        ("Change", told.change),
        ("Not when", told.not_when),
    ]
