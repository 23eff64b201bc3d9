"""Public helpers for tests: the emulator as a fixture, virtual time, contracts."""
