-- What attempts add up to, so that reports need not read them all, and stay right when old attempts are removed.
-- All of it can be made again out of attempts that are still there. ledger/rollup.py keeps it up and says how.

-- All that tells attempts apart but their time. In what is added up by day, session is always ''. status 0: none.
CREATE TABLE kinds (
    id                     INTEGER PRIMARY KEY,
    session                TEXT NOT NULL,
    tenant                 TEXT NOT NULL,
    job                    TEXT NOT NULL,
    model_served           TEXT NOT NULL,
    model_asked            TEXT NOT NULL,
    pool                   TEXT NOT NULL,
    class                  TEXT NOT NULL,
    outcome                TEXT NOT NULL,
    status                 INTEGER NOT NULL,
    UNIQUE (session, tenant, job, model_served, model_asked, pool, class, outcome, status)
);

-- Sums over `span` hours (1 or 24) from `start`, hours since 1970 UTC. calls: how many different ones.
CREATE TABLE sums (
    span                   INTEGER NOT NULL,
    start                  INTEGER NOT NULL,
    kind                   INTEGER NOT NULL,
    calls                  INTEGER NOT NULL,
    attempts               INTEGER NOT NULL,
    input_tokens           INTEGER NOT NULL,
    cache_read_tokens      INTEGER NOT NULL,
    cache_write_5m_tokens  INTEGER NOT NULL,
    cache_write_1h_tokens  INTEGER NOT NULL,
    output_tokens          INTEGER NOT NULL,
    thinking_tokens        INTEGER NOT NULL,
    web_searches           INTEGER NOT NULL,
    cost_nanousd           INTEGER NOT NULL,
    unpriced               INTEGER NOT NULL,
    estimated              INTEGER NOT NULL,
    estimated_nanousd      INTEGER NOT NULL,
    judged                 INTEGER NOT NULL,
    off_ppm                INTEGER NOT NULL,
    taken                  INTEGER NOT NULL,
    PRIMARY KEY (span, start, kind)
) WITHOUT ROWID;

-- How long they waited, in steps of about a tenth (microseconds), and for what.
CREATE TABLE waits (
    span                   INTEGER NOT NULL,
    start                  INTEGER NOT NULL,
    kind                   INTEGER NOT NULL,
    cause                  TEXT NOT NULL,
    step_us                INTEGER NOT NULL,
    attempts               INTEGER NOT NULL,
    waited_us              INTEGER NOT NULL,
    longest_ms             REAL NOT NULL,
    PRIMARY KEY (span, start, kind, cause, step_us)
) WITHOUT ROWID;

-- So many calls have attempts in all of the same two or more cells of sums: they are one call in each, and one in all.
CREATE TABLE shares (
    id                     INTEGER PRIMARY KEY,
    members                TEXT NOT NULL UNIQUE,
    calls                  INTEGER NOT NULL
);
CREATE TABLE shared (
    span                   INTEGER NOT NULL,
    start                  INTEGER NOT NULL,
    share                  INTEGER NOT NULL,
    kind                   INTEGER NOT NULL,
    PRIMARY KEY (span, start, share, kind)
) WITHOUT ROWID;
CREATE INDEX shared_by_share ON shared (share);

-- Attempts up to `upto` are in the sums, but those set aside: lost ones, whose true end may still come.
-- `serial` counts changes of the sums; attempts from before `pruned_ns` may have been removed.
CREATE TABLE rolled (
    one                    INTEGER PRIMARY KEY CHECK (one = 1),
    upto                   INTEGER NOT NULL,
    serial                 INTEGER NOT NULL,
    pruned_ns              INTEGER NOT NULL
);
INSERT INTO rolled VALUES (1, 0, 0, 0);
CREATE TABLE aside (
    id                     INTEGER PRIMARY KEY
);
