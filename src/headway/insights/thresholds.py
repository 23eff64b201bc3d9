"""How much must be seen before anything is claimed, and why just so much. All in one place; `docs/insights.md` shows them.

The rule of thumb behind the counts: with n calls a rate is known to about 1/√n, so 20 calls tell "often" from "once",
50 tell a habit, 200 a distribution's tail.
"""

from __future__ import annotations

LEAST_CALLS = 20  # repeats of one thing before it is a pattern
LEAST_WAITS = 50  # calls that waited, before "calls wait" is more than a bad minute
LEAST_BATCH = 100  # calls: below it the Batch API is more trouble than it saves
LEAST_SHAPE = 200  # calls, before the tail of a distribution of lengths is known (P95 rests on 10)
LEAST_HISTORY = 50  # calls of conversations that grew, before that is a habit

MONEY_SHARE = 0.005  # of all spent: that is worth a line
MONEY_ENOUGH_NANOUSD = 5 * 10**9  # or five dollars, whatever the rest costs
MONEY_LEAST_NANOUSD = 10_000_000  # one cent in the window: below it figures are noise

AN_HOUR_GAINS = 1.1  # times what five minutes save, before the longer life is worth its words
LIFE_SHARE = 0.05  # of a slice's cost: now and then a longer pause is no reason to pay for an hour
SMALL_CHANGE = 64  # bytes that a block grows or shrinks by while all but a time or a name stays
BREAK_SHARE = 0.3  # of the steps of a stream: a prompt that changes more rarely may change for a reason
SAME_LENGTH = 0.02  # texts of the same length, where there are no names to compare
READ_HALF = 0.5  # of what an earlier call had cached: if less is read, the entry was gone
GROWN_TIMES = 3.0  # from the first call of a conversation to its longest, before it "grows"
LEAST_TURNS = 10  # calls of a conversation, before its history can dominate
HISTORY_SHARE = 0.5  # of the cost of conversations, re-sent: more than half is "dominates"
# Tokens a call, from which on a history that is read from the cache is worth a question. A read costs a tenth or less.
CACHED_HISTORY_TOKENS = 100_000
# The compaction that a saving is figured with: a history of so many tokens becomes so many, by a summary of so many.
COMPACT_AT, COMPACT_TO, SUMMARY = 100_000, 20_000, 2_000

RESERVED_TIMES = 4.0  # max_tokens over the P99 of what is used, before it is "far above"
ROOM_OVER_P99 = 1.5  # what we suggest instead

PAID_SHARE = 0.01  # of a slice's cost, paid for attempts without a reply
FAILED_CALLS = 20  # and not one success: the true rate of success is below 14 % (95 %, rule of three)
# Of the time to cancelling, P90 less P10 as a part of P50: people do not give up so evenly, timeouts do.
TIMEOUT_SPREAD = 0.05

WAITED_MS = 1000.0  # in line: below a second nobody notices
BOUND_SHARE = 0.05  # of the minutes with traffic
BOUND_SHARE_BULK = (
    0.10  # of all the time: a job at its limit is as it should be, one that is never done is not
)
IDLE_SHARE = 0.5  # of the limit, unused while calls wait for something else

SHORT_TOKENS = 100  # of 95 % of replies, that may need no large model
EVEN_TOKENS = 50  # P90 minus P10 of them
SHORT_PROMPT = 20_000  # of 95 % of their prompts
CHEAPER = 0.5  # of the cost, at most, before another model is worth asking about

CUT_SHARE = 0.01  # of replies, cut off
ASKED_AGAIN_NS = 15 * 60 * 10**9
REPEAT_SHARE = 0.01  # of a slice's calls, word for word as before
STEP_OVER = 1.2  # times the prompt length at which a price steps up: beyond that trimming is no small thing
