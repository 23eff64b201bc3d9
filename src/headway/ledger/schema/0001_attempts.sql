-- One row for each attempt that ended, never changed again (but a "lost" one, if its real end turns up late).
-- Tokens are in disjoint classes; only thinking_tokens is part of output_tokens. cost_nanousd NULL: no price known.
CREATE TABLE attempts (
    id                     INTEGER PRIMARY KEY,
    attempt_id             TEXT NOT NULL UNIQUE,
    call_id                TEXT NOT NULL,
    number                 INTEGER NOT NULL,
    at_ns                  INTEGER NOT NULL,
    provider               TEXT NOT NULL,
    pool                   TEXT NOT NULL,
    model_asked            TEXT NOT NULL,
    model_served           TEXT NOT NULL,
    tenant                 TEXT NOT NULL,
    class                  TEXT NOT NULL,
    session                TEXT NOT NULL,
    job                    TEXT NOT NULL,
    label                  TEXT NOT NULL,
    outcome                TEXT NOT NULL,
    status                 INTEGER,
    error_type             TEXT NOT NULL,
    request_id             TEXT,
    stream                 INTEGER NOT NULL,
    queued_ms              REAL,
    first_token_ms         REAL,
    total_ms               REAL,
    estimated_input_tokens  INTEGER NOT NULL,
    estimated_output_tokens INTEGER NOT NULL,
    input_tokens           INTEGER NOT NULL,
    cache_read_tokens      INTEGER NOT NULL,
    cache_write_5m_tokens  INTEGER NOT NULL,
    cache_write_1h_tokens  INTEGER NOT NULL,
    output_tokens          INTEGER NOT NULL,
    thinking_tokens        INTEGER NOT NULL,
    web_searches           INTEGER NOT NULL,
    cost_nanousd           INTEGER,
    price_variant          TEXT NOT NULL,
    estimated              INTEGER NOT NULL,
    usage_json             TEXT
);
CREATE INDEX attempts_by_time ON attempts (at_ns);

-- Attempts under way, so that a killed process leaves a trace. The owner is a process: pid, boot, start.
CREATE TABLE open_attempts (
    attempt_id             TEXT PRIMARY KEY,
    call_id                TEXT NOT NULL,
    number                 INTEGER NOT NULL,
    at_ns                  INTEGER NOT NULL,
    provider               TEXT NOT NULL,
    pool                   TEXT NOT NULL,
    model                  TEXT NOT NULL,
    tenant                 TEXT NOT NULL,
    class                  TEXT NOT NULL,
    session                TEXT NOT NULL,
    job                    TEXT NOT NULL,
    label                  TEXT NOT NULL,
    estimated_input_tokens  INTEGER NOT NULL,
    estimated_output_tokens INTEGER NOT NULL,
    queued_ms              REAL,
    stream                 INTEGER NOT NULL,
    owner_pid              INTEGER NOT NULL,
    owner_boot             TEXT NOT NULL,
    owner_start            INTEGER NOT NULL
) WITHOUT ROWID;

-- What is learnt of a pool (its burst, for one) and kept from run to run. value is JSON.
CREATE TABLE learnt (
    key                    TEXT PRIMARY KEY,
    value                  TEXT NOT NULL,
    at_ns                  INTEGER NOT NULL
) WITHOUT ROWID;
