"""Append-only record of attempts: who used which tokens, and what they cost."""
