"""How many characters an output token is worth, learnt from whole replies as they stream by."""

from __future__ import annotations

FIRST_CHARACTERS_PER_TOKEN = 3.5
MEMORY = 0.98


class Density:
    """Turns characters of output that has been seen into tokens. Starts at 3.5 characters a token."""

    __slots__ = ("_characters", "_tokens")

    def __init__(self) -> None:
        self._characters = FIRST_CHARACTERS_PER_TOKEN * 100.0
        self._tokens = 100.0

    def tokens(self, characters: int) -> float:
        """Output tokens that so many characters are worth."""
        return characters * self._tokens / self._characters

    def learn(self, characters: int, tokens: int) -> None:
        """A reply of so many characters took so many tokens."""
        if characters and tokens:
            self._characters = MEMORY * self._characters + characters
            self._tokens = MEMORY * self._tokens + tokens
