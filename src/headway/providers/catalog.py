"""What is published about models and tiers, and what of a request cannot work by it. Figures and sources: `data/*.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from typing import Any

from headway.core.call import Estimate
from headway.errors import ConfigError

_FAMILIES = "opus|sonnet|haiku|fable|mythos"
_NEW_ORDER = re.compile(rf"claude-({_FAMILIES})-(\d+(?:-\d\d?)?)(?!-?\d)")
_OLD_ORDER = re.compile(rf"claude-(\d+(?:-\d\d?)?)-({_FAMILIES})(?![a-z\d])")
_DATE = re.compile(r"[-@](?:20\d{6}|latest|20\d\d-\d\d-\d\d)")
SURE = 3.0  # standard deviations that an estimate must be over by before a request is refused for it


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is published about one model. Tokens; `retires` is an ISO date or empty.

    `tokenizer` is "3" or "4.7". `cache_reads_free`: reads of the prompt cache stay out of the input limit. `overflow`:
    input + max_tokens may be beyond the window. `thinking` of earlier turns is "kept", "bound" to what is before it (and
    refused when that changes), or only the "last" turn's counts. `names` are further ids of it, `note` is what else there is
    to know.
    """

    id: str
    family: str
    generation: str
    pool: str
    context_tokens: int
    max_output_tokens: int
    min_cacheable_tokens: int
    tokenizer: str
    status: str
    retires: str = ""
    cache_reads_free: bool = True
    overflow: bool = True
    thinking: str = "kept"
    names: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class TierLimits:
    """Published limits of one pool in one tier, per minute. None: this pool has no limit of that kind."""

    requests: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Oversize:
    """What of a request is too large for its model, ever: its `tokens`, the `most` there can be, and that in a sentence.

    `what` is "prompt", "max_tokens" or "prompt and max_tokens".
    """

    what: str
    tokens: int
    most: int
    text: str

    @property
    def excess(self) -> int:
        """Tokens that have to go."""
        return self.tokens - self.most


class Catalog:
    """Models and tiers of one provider. Build it with `Catalog.load()`; it never changes afterwards."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.models = tuple(_facts(entry) for entry in data["models"])
        self.tiers = tuple(str(entry["name"]) for entry in data["tiers"])
        self.read = str(data["read"])
        self._by_version = {(facts.family, facts.generation): facts for facts in self.models}
        self._tiers = {
            str(entry["name"]): {
                pool: _tier_limits(amounts, str(entry["source"])) for pool, amounts in entry["pools"].items()
            }
            for entry in data["tiers"]
        }
        self.model = lru_cache(maxsize=4096)(self._find)

    @staticmethod
    @lru_cache(maxsize=8)
    def load(provider: str = "anthropic") -> Catalog:
        """The catalog that comes with the package."""
        text = resources.files("headway.providers").joinpath(f"data/{provider}.toml").read_text("utf-8")
        return Catalog(tomllib.loads(text))

    def tier(self, pool: str, name: str) -> TierLimits | None:
        """Published limits of a pool; None where none are published. Raises ConfigError for a tier that does not exist."""
        return self._tiers[self.tier_name(name)].get(pool)

    def tier_name(self, name: str) -> str:
        """The name of a tier in any spelling: `2`, `Tier 2`, `tier_2`. Raises ConfigError for one that does not exist."""
        wanted = name.strip().lower().replace("_", "-").replace(" ", "-")
        wanted = f"tier-{wanted.removeprefix('tier').strip('-')}" if wanted[-1:].isdigit() else wanted
        if wanted not in self._tiers:
            near = get_close_matches(wanted, self.tiers, n=1)
            known = ", ".join(self.tiers)
            raise ConfigError(
                f"unknown tier {name!r}",
                hint=(f"Did you mean {near[0]}? " if near else "") + f"Known tiers: {known}.",
            )
        return wanted

    def least(self, pool: str) -> TierLimits | None:
        """The lowest published limits of a pool, whoever has them: what is safe to go by until a reply shows more."""
        found = [tiers[pool] for tiers in self._tiers.values() if pool in tiers]
        return min(found, key=lambda limits: limits.requests, default=None)

    def nearest_model(self, model: str) -> str | None:
        """The known id that looks most like this one, for a suggestion."""
        near = get_close_matches(_plain(model), [facts.id for facts in self.models], n=1, cutoff=0.5)
        return near[0] if near else None

    def prefix_cache_free(self, model: str) -> bool:
        """Whether cache reads of this model stay out of the input limit. An unknown model counts them: the safe side."""
        facts = self.model(model)
        return facts is not None and facts.cache_reads_free

    def _find(self, model: str) -> ModelFacts | None:
        """The facts of an id in any of its spellings: dated, latest, dotted, turned round, as cloud platforms write it."""
        plain = _plain(model)
        if match := _NEW_ORDER.search(plain):
            family, version = match[1], match[2]
        elif match := _OLD_ORDER.search(plain):
            family, version = match[2], match[1]
        else:
            return None
        return self._by_version.get((family, version.replace("-", ".").removesuffix(".0")))


def oversize(facts: ModelFacts, estimate: Estimate) -> Oversize | None:
    """Why a request can never be served by its model; None: it may well be.

    Estimates are uncertain, so only a prompt that is over by three standard deviations is refused. `max_tokens` is exact.
    """
    asked, most = estimate.max_output_tokens, facts.max_output_tokens
    if asked > most:
        text = f"max_tokens {asked:,} is {asked - most:,} over the {most:,} that {facts.id} can put out"
        return Oversize("max_tokens", asked, most, text)
    prompt, window = round(estimate.input_tokens), facts.context_tokens
    surely = estimate.input_tokens * max(0.0, 1.0 - SURE * estimate.error)
    if surely + asked <= window:
        return None
    limit = f"{window:,} token window of {facts.id}"
    if surely > window:
        text = f"prompt of about {prompt:,} tokens is {prompt - window:,} over the {limit}"
        return Oversize("prompt", prompt, window, text)
    if not facts.overflow and surely + asked > window:
        both = prompt + asked
        text = f"prompt of about {prompt:,} tokens and max_tokens {asked:,} are together {both - window:,} over the {limit}"
        return Oversize("prompt and max_tokens", both, window, text)
    return None


def _facts(entry: dict[str, Any]) -> ModelFacts:
    return ModelFacts(**(entry | {"names": tuple(entry.get("names", ()))}))


def _tier_limits(amounts: list[int], source: str) -> TierLimits:
    requests, tokens_in, tokens_out = amounts if len(amounts) == 3 else (amounts[0], None, None)
    return TierLimits(requests, tokens_in, tokens_out, source)


def _plain(model: str) -> str:
    return _DATE.sub("", model.strip().lower().replace(".", "-").replace("_", "-"))
