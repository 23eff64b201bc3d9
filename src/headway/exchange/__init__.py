"""What doors share about one call: whose it is (`scope`), what is asked (`asked`), what comes back (`attempt`); and the
record of those that draw on no limit (`passing`). No I/O."""
