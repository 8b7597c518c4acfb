-- What each count of the directory's generation changed, so that what is held in memory elsewhere
-- is forgotten by name. Only the latest are kept.
CREATE TABLE directory_changes (
    generation INTEGER NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('tenant', 'number', 'all')),
    name       TEXT    NOT NULL
) STRICT;

-- The keys of a tenant's people and programs: only what a key hashes to (SHA-256) is kept.
CREATE TABLE access_keys (
    key_id     TEXT    NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    role       TEXT    NOT NULL,
    label      TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX access_keys_of_tenant ON access_keys (tenant_id, key_id);

-- Administrative changes. The operator's: an entry outlives the tenant that it is about.
CREATE TABLE audit (
    entry_id  BLOB    NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    tenant_id TEXT,
    action    TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    source    TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_of_tenant ON audit (tenant_id, entry_id);

-- Counts up with every change of a mapping, from 1.
ALTER TABLE numbers ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
