"""When each call of a replay comes: as recorded, but within a session after the call before it.

A caller who reads an answer and then asks again comes later if the answer comes later. So a call that followed another of its
session within ten minutes comes as long after the end of that one as it did then (its think time). Without that a delay would
make calls overlap that cannot, and one that is saved would leave pauses that nobody made. Calls that ran beside each other,
calls without a session, and first calls come when they came.

Rows are read some thousands ahead, so that a session can run ahead of its recording. What is read and has not ended is in
memory, nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from headway.drivers.virtual import Agenda
from headway.errors import InputError
from headway.planner.replay_rows import Asked

AHEAD, AT_ONCE = 10_000, 1_000  # rows read before their time; rows read in one go
FOLLOWS_S = 600.0  # a longer pause is no thinking: the call comes when it came
BACKLOG = 200_000  # calls that wait; more would need more memory than a laptop has, and the answer is plain
_TIDY_EVERY = 20_000


class Overwhelmed(InputError):
    """So many calls wait that they would not fit into memory."""


class _Session:
    """The calls of one session that run at the time of the recording, and the one that ended last."""

    __slots__ = ("last", "last_end", "running")

    def __init__(self) -> None:
        self.running: list[tuple[float, int, Asked]] = []
        self.last: Asked | None = None
        self.last_end = float("-inf")

    def before(self, at: float) -> Asked | None:
        """The call that a newcomer at `at` followed; None: it follows nobody."""
        running = self.running
        while running and running[0][0] <= at:
            self.last_end, _, self.last = heappop(running)
        return self.last if at - self.last_end <= FOLLOWS_S else None


class Source:
    """Tells `begin` of each call of `rows` (in order of `at`) at its time; wants to be told when it has `ended`.

    Raises Overwhelmed.
    """

    def __init__(
        self, agenda: Agenda, rows: Iterator[Asked], begin: Callable[[Asked], None], ahead: int = AHEAD
    ) -> None:
        self.open = 0  # read and not ended
        self.read = 0
        self._agenda, self._rows, self._begin, self._ahead = agenda, rows, begin, ahead
        self._to_come = 0  # of those read, not begun
        self._queue: deque[Asked] = (
            deque()
        )  # those that come when they came; the first of them is on the agenda
        self._sessions: dict[str, _Session] = {}
        self._is_over = False
        self._last_at = 0.0

    def start(self) -> None:
        """Read the first rows."""
        self._feed()

    def ended(self, asked: Asked) -> None:
        """It is over now: whoever waited for it thinks, and comes."""
        self.open -= 1
        now = asked.ended_at = self._agenda.now
        followers = asked.followers
        if followers is not None:
            asked.followers = None
            for thought_s, follower in followers:
                self._agenda.at(now + thought_s, self._come, follower)

    def _next(self) -> None:
        """The first of the queue comes."""
        queue = self._queue
        asked = queue.popleft()
        if queue:
            self._agenda.at(queue[0].at, self._next)
        self._come(asked)

    def _come_as_recorded(self, asked: Asked) -> None:
        self._queue.append(asked)
        if len(self._queue) == 1:
            self._agenda.at(asked.at, self._next)

    def _come(self, asked: Asked) -> None:
        self._to_come -= 1
        if self._to_come <= self._ahead - AT_ONCE:
            self._feed()
        asked.arrived_at = self._agenda.now
        self._begin(asked)

    def _feed(self) -> None:
        while not self._is_over and self._to_come < self._ahead:
            self._read_some()
        if self.open > BACKLOG + self._ahead:
            hours = self._agenda.now / 3600.0
            raise Overwhelmed(
                f"stopped after {hours:,.1f} h of traffic, when {BACKLOG:,} calls waited: the limits are far too low for it",
                hint="Replay a shorter time, or name higher limits.",
            )

    def _read_some(self) -> None:
        for _ in range(AT_ONCE):
            asked = next(self._rows, None)
            if asked is None:
                self._is_over = True
                self._sessions.clear()
                return
            self.read += 1
            self.open += 1
            self._to_come += 1
            self._last_at = asked.at
            if asked.session:
                self._follow(asked)
            else:
                self._come_as_recorded(asked)
        self._agenda.at(
            self._last_at, self._keep_ahead, self.read
        )  # however many are late, none is read late
        if self.read % _TIDY_EVERY == 0:
            self._tidy()

    def _keep_ahead(self, read: int) -> None:
        if self.read == read and not self._is_over:
            self._read_some()

    def _follow(self, asked: Asked) -> None:
        session = self._sessions.get(asked.session)
        if session is None:
            session = self._sessions[asked.session] = _Session()
        before = session.before(asked.at)
        heappush(session.running, (asked.at + asked.total_s, self.read, asked))
        if before is None:
            self._come_as_recorded(asked)
            return
        thought_s = asked.at - session.last_end
        if before.ended_at >= 0.0:
            self._agenda.at(before.ended_at + thought_s, self._come, asked)
        elif before.followers is None:
            before.followers = [(thought_s, asked)]
        else:
            before.followers.append((thought_s, asked))

    def _tidy(self) -> None:
        """Sessions that have been silent for long follow nobody any more."""
        at = self._last_at
        self._sessions = {
            name: session
            for name, session in self._sessions.items()
            if session.before(at) is not None or session.running
        }
