"""What doors share about one call: whose it is (`scope`), what is asked (`asked`), what comes back (`attempt`). No I/O."""
