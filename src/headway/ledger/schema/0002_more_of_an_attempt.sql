-- What insights ask for. waited_for: the limit or budget that the call waited for last ('': it did not wait).
-- max_output_tokens: the request's own max_tokens (0: not known). cacheable_tokens: estimated, up to its last cache breakpoint.
-- fingerprint: keyed hashes of the beginnings of the request, see core/fingerprint.py (NULL: none was made).
ALTER TABLE attempts ADD COLUMN waited_for TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN stop_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN max_output_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN cacheable_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN fingerprint BLOB;
