"""An emulated provider for your own tests, without a key: real sockets, real limits, its own books.

    from headway.testing.emulated import Emulator

    with Emulator("claude-opus-4/tier-4?seed=7") as emulator:
        client = anthropic.Anthropic(base_url=emulator.url, api_key="any")
        ...
        assert emulator.stats()["rate_limited"] == {}

`Emulator` runs in a thread of this process, `spawn` in a process of its own. In pytest the fixture `headway_emulator`
does the same; `@pytest.mark.headway_profile("claude-opus-4/tier-1?overloaded=0.1")` chooses the provider.
"""

from headway.emulator.process import EmulatorProcess, spawn
from headway.emulator.profile import Profile, parse_profile
from headway.emulator.server import Emulator

__all__ = ["Emulator", "EmulatorProcess", "Profile", "parse_profile", "spawn"]
