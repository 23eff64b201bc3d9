"""The memory store keeps the contract of the port."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headway.core.ports import Store
from headway.stores.memory import MemoryStore
from stores.contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make(self) -> Callable[[], Store]:
        return MemoryStore
