"""One question, one answer, without an SDK: a call's path is `send` - `asked` - the transport of door 1 - `asked`."""
