"""Door 1: a transport that goes into the official SDKs. A call's path: `sync`/`aio` - `request` - the engine - `reply`."""
