"""Door 3: a reverse proxy in front of the API, for programs in any language, on one engine."""
