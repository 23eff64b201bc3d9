"""What to change to need less: findings out of the ledger, each with evidence, money and the exact change.

Start at `study.study`. A rule is a small class that is shown every attempt once, in order of time, and then says what it
found; it knows no clock, no file and no other rule.
"""
