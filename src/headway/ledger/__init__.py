"""The ledger: who used which tokens, and what they cost."""
