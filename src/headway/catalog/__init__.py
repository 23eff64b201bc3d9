"""What is known of models: published facts, the limits of your organisation, and what your own calls measured.

`matrix.rows` is everything in one table; `limits.known_limits` is what a plan should go by.
"""
