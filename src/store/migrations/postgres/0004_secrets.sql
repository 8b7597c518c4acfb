-- Keys of providers and other systems, sealed: what is in the database opens nothing without the
-- vault's key. The operator's stand in where a tenant has none.
CREATE TABLE tenant_secrets (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    name       TEXT COLLATE "C" NOT NULL,
    key_id     TEXT    NOT NULL,
    sealed     BYTEA   NOT NULL,
    updated_at BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE operator_secrets (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key_id     TEXT    NOT NULL,
    sealed     BYTEA   NOT NULL,
    updated_at BIGINT  NOT NULL
);
