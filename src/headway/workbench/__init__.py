"""Prompts as something to work on: `headway compare` runs variants over the same inputs, `headway lint` reads them."""
