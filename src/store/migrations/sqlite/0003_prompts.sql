-- Prompts by tenant and purpose. A version is never changed.
CREATE TABLE prompts (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    purpose    TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    template   TEXT    NOT NULL,
    note       TEXT    NOT NULL,
    author     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, purpose, version)
) STRICT;

-- Which version is used: the active one, one that a part of the calls gets instead, and the
-- versions that were active before (a JSON list, the latest last).
CREATE TABLE prompt_pointers (
    tenant_id TEXT    NOT NULL,
    purpose   TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    active    INTEGER NOT NULL,
    candidate INTEGER,
    percent   INTEGER,
    before    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, purpose),
    FOREIGN KEY (tenant_id, purpose, active) REFERENCES prompts (tenant_id, purpose, version) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, purpose, candidate) REFERENCES prompts (tenant_id, purpose, version) ON DELETE CASCADE
) STRICT;
