-- Times are microseconds since 1970, UTC. Documents and records are JSON; the columns beside them
-- are copies for searching. Every tenant's row goes when its tenant goes.

CREATE TABLE tenants (
    tenant_id    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    client_id    TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    slug         TEXT UNIQUE,
    active       BOOLEAN NOT NULL,
    version      BIGINT  NOT NULL,
    document     TEXT    NOT NULL,
    updated_at   BIGINT  NOT NULL
);

CREATE TABLE numbers (
    phone_number TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id    TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    active       BOOLEAN NOT NULL,
    document     TEXT    NOT NULL
);

CREATE INDEX numbers_of_tenant ON numbers (tenant_id);

CREATE TABLE calls (
    call_id    BYTEA   NOT NULL PRIMARY KEY,
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    node       TEXT    NOT NULL,
    revision   BIGINT  NOT NULL,
    status     TEXT    NOT NULL,
    started_at BIGINT  NOT NULL,
    ended_at   BIGINT,
    updated_at BIGINT  NOT NULL,
    dialed     TEXT,
    record     TEXT    NOT NULL
);

CREATE INDEX calls_of_tenant ON calls (tenant_id, started_at, call_id);
CREATE INDEX calls_by_start ON calls (started_at, call_id);
CREATE INDEX calls_by_dialed ON calls (dialed, started_at) WHERE dialed IS NOT NULL;
CREATE INDEX calls_open ON calls (node) WHERE ended_at IS NULL;

-- How far each node's journal was carried into the table above.
CREATE TABLE checkpoints (
    node          TEXT    NOT NULL PRIMARY KEY,
    journal       BIGINT  NOT NULL,
    segment       BIGINT  NOT NULL,
    byte_offset   BIGINT  NOT NULL,
    last_event_at BIGINT  NOT NULL
);

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Counted up by every change of a tenant or a number.
CREATE TABLE directory_generation (
    "only" BIGINT  NOT NULL PRIMARY KEY CHECK ("only" = 1),
    value BIGINT  NOT NULL
);

INSERT INTO directory_generation ("only", value) VALUES (1, 1);
