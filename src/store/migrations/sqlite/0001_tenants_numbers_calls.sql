-- Times are microseconds since 1970, UTC. Documents and records are JSON; the columns beside them
-- are copies for searching. Every tenant's row goes when its tenant goes.

CREATE TABLE tenants (
    tenant_id    TEXT    NOT NULL PRIMARY KEY,
    client_id    TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    slug         TEXT    UNIQUE,
    active       INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    document     TEXT    NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE numbers (
    phone_number TEXT    NOT NULL PRIMARY KEY,
    tenant_id    TEXT    NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    active       INTEGER NOT NULL,
    document     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX numbers_of_tenant ON numbers (tenant_id);

CREATE TABLE calls (
    call_id    BLOB    NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    node       TEXT    NOT NULL,
    revision   INTEGER NOT NULL,
    status     TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    updated_at INTEGER NOT NULL,
    dialed     TEXT,
    record     TEXT    NOT NULL
) STRICT;

CREATE INDEX calls_of_tenant ON calls (tenant_id, started_at, call_id);
CREATE INDEX calls_by_start ON calls (started_at, call_id);
CREATE INDEX calls_by_dialed ON calls (dialed, started_at) WHERE dialed IS NOT NULL;
CREATE INDEX calls_open ON calls (node) WHERE ended_at IS NULL;

-- How far each node's journal was carried into the table above.
CREATE TABLE checkpoints (
    node          TEXT    NOT NULL PRIMARY KEY,
    journal       INTEGER NOT NULL,
    segment       INTEGER NOT NULL,
    byte_offset   INTEGER NOT NULL,
    last_event_at INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Counted up by every change of a tenant or a number.
CREATE TABLE directory_generation (
    only  INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    value INTEGER NOT NULL
) STRICT;

INSERT INTO directory_generation (only, value) VALUES (1, 1);
