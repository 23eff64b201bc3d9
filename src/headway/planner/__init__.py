"""Answers how long a job takes and what it costs, by running the same engine in virtual time."""
