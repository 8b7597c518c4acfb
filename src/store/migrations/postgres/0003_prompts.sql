-- Prompts by tenant and purpose. A version is never changed.
CREATE TABLE prompts (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    purpose    TEXT    NOT NULL,
    version    BIGINT  NOT NULL,
    template   TEXT    NOT NULL,
    note       TEXT    NOT NULL,
    author     TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, purpose, version)
);

-- Which version is used: the active one, one that a part of the calls gets instead, and the
-- versions that were active before (a JSON list, the latest last).
CREATE TABLE prompt_pointers (
    tenant_id TEXT COLLATE "C" NOT NULL,
    purpose   TEXT    NOT NULL,
    revision  BIGINT  NOT NULL,
    active    BIGINT  NOT NULL,
    candidate BIGINT,
    percent   BIGINT,
    before    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, purpose),
    FOREIGN KEY (tenant_id, purpose, active) REFERENCES prompts (tenant_id, purpose, version) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, purpose, candidate) REFERENCES prompts (tenant_id, purpose, version) ON DELETE CASCADE
);
