"""Where meters live."""
