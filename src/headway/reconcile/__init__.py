"""Compares the ledger with what the provider says was used, and explains each difference."""
