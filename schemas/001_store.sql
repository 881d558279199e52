-- The tables of the store. They need no Python function, so every DuckDB client opens them.

CREATE TABLE datasets (
    dataset      VARCHAR PRIMARY KEY,
    title        VARCHAR NOT NULL,
    source       VARCHAR NOT NULL,
    licence      VARCHAR NOT NULL,
    n_systems    BIGINT NOT NULL,
    n_unreadable BIGINT NOT NULL,
    dataset_hash VARCHAR NOT NULL,
    versions     JSON,
    added        TIMESTAMPTZ NOT NULL
);

CREATE TABLE systems (
    system_id    VARCHAR PRIMARY KEY,
    dataset      VARCHAR NOT NULL,
    content_hash VARCHAR NOT NULL,
    formula      VARCHAR,
    n_atoms      INTEGER,
    numbers      SMALLINT[],
    positions    DOUBLE[][],
    cell         DOUBLE[][],
    pbc          BOOLEAN[],
    charge       INTEGER,
    spin         INTEGER,
    smiles       VARCHAR,
    sequence     VARCHAR,
    backbone     DOUBLE[][][]
);

CREATE TABLE models (
    model_id               VARCHAR PRIMARY KEY,
    family                 VARCHAR NOT NULL,
    title                  VARCHAR NOT NULL,
    input                  VARCHAR NOT NULL,
    default_representation VARCHAR NOT NULL,
    untrained_of           VARCHAR,
    parameters             BIGINT,
    architecture           VARCHAR,
    training_sets          VARCHAR[],
    licence_code           VARCHAR NOT NULL,
    licence_weights        VARCHAR NOT NULL,
    card                   JSON NOT NULL,
    card_hash              VARCHAR NOT NULL
);

CREATE TABLE runs (
    run_id          VARCHAR PRIMARY KEY,
    model_id        VARCHAR NOT NULL,
    dataset         VARCHAR NOT NULL,
    representations VARCHAR[] NOT NULL,
    status          VARCHAR NOT NULL CHECK (status IN ('ok', 'failed')),
    reason          VARCHAR,
    runtime         VARCHAR NOT NULL,
    device          VARCHAR NOT NULL,
    device_name     VARCHAR,
    driver          VARCHAR,
    dtype           VARCHAR NOT NULL,
    untrained_seed  BIGINT,
    card_hash       VARCHAR NOT NULL,
    encoder_hash    VARCHAR,
    lock_hash       VARCHAR,
    weights         JSON,
    versions        JSON,
    sent            BIGINT NOT NULL,
    ok              BIGINT NOT NULL,
    failed          BIGINT NOT NULL,
    not_applicable  BIGINT NOT NULL,
    seconds         DOUBLE,
    peak_memory     BIGINT,
    started         TIMESTAMPTZ,
    finished        TIMESTAMPTZ,
    CHECK (status = 'failed' OR sent = ok + failed + not_applicable)
);

CREATE TABLE embeddings (
    system_id      VARCHAR NOT NULL,
    model_id       VARCHAR NOT NULL,
    representation VARCHAR NOT NULL,
    content_hash   VARCHAR NOT NULL,
    run_id         VARCHAR NOT NULL,
    vector         FLOAT[] NOT NULL
);

CREATE TABLE failures (
    system_id      VARCHAR NOT NULL,
    dataset        VARCHAR NOT NULL,
    model_id       VARCHAR,
    representation VARCHAR,
    content_hash   VARCHAR,
    run_id         VARCHAR,
    status         VARCHAR NOT NULL CHECK (status IN ('failed', 'not_applicable', 'unreadable')),
    reason         VARCHAR NOT NULL
);

CREATE TABLE labels (
    system_id VARCHAR NOT NULL,
    property  VARCHAR NOT NULL,
    value     DOUBLE NOT NULL,
    unit      VARCHAR NOT NULL,
    source    VARCHAR NOT NULL,
    PRIMARY KEY (system_id, property, source)
);

CREATE TABLE scores (
    model_id VARCHAR NOT NULL,
    score    VARCHAR NOT NULL,
    value    DOUBLE NOT NULL,
    unit     VARCHAR NOT NULL,
    test_set VARCHAR NOT NULL,
    source   VARCHAR NOT NULL,
    PRIMARY KEY (model_id, score, test_set, source)
);

COMMENT ON TABLE datasets IS 'Named, fixed lists of systems.';
COMMENT ON COLUMN datasets.dataset_hash IS
    'sha256 over the content hashes of its systems, in order of system_id';
COMMENT ON COLUMN datasets.n_unreadable IS
    'Entries of the source that could not be read; each has a row in failures';
COMMENT ON COLUMN datasets.versions IS 'Versions of the packages that made it';
COMMENT ON TABLE systems IS 'Molecules, materials and proteins. The key is <dataset>/<source id>.';
COMMENT ON COLUMN systems.content_hash IS
    'sha256 of what is embedded (not of the name); two vectors are compared only where it '
    'agrees';
COMMENT ON COLUMN systems.numbers IS 'Atomic numbers, one an atom';
COMMENT ON COLUMN systems.positions IS 'Cartesian positions in Å, [atom][x, y, z]';
COMMENT ON COLUMN systems.cell IS 'Lattice vectors in Å, one a row; NULL for a molecule';
COMMENT ON COLUMN systems.pbc IS 'Periodic along each lattice vector?';
COMMENT ON COLUMN systems.charge IS 'Total charge in elementary charges';
COMMENT ON COLUMN systems.spin IS 'Spin multiplicity, 2S + 1';
COMMENT ON COLUMN systems.smiles IS 'Canonical SMILES (RDKit)';
COMMENT ON COLUMN systems.sequence IS 'One-letter amino-acid sequence';
COMMENT ON COLUMN systems.backbone IS 'Backbone positions in Å, [residue][N, CA, C, O][x, y, z]';
COMMENT ON TABLE models IS
    'Checkpoints (or task heads, prompts), their untrained twins, and vectors a user brought.';
COMMENT ON COLUMN models.untrained_of IS 'The model whose untrained twin this is';
COMMENT ON COLUMN models.parameters IS 'Number of trainable parameters';
COMMENT ON TABLE runs IS
    'Executions: one model on one dataset on one device. sent = ok + failed + not_applicable, '
    'counted as system × representation.';
COMMENT ON COLUMN runs.seconds IS 'Wall time of the worker in s';
COMMENT ON COLUMN runs.peak_memory IS 'Peak resident memory of the worker in bytes';
COMMENT ON TABLE embeddings IS 'Vectors, one a system, model and representation.';
COMMENT ON COLUMN embeddings.vector IS 'float32, in the model''s own arbitrary units';
COMMENT ON TABLE failures IS 'Systems without a vector, each with its reason.';
COMMENT ON COLUMN failures.status IS
    'failed: the model tried; not_applicable: the model does not take it; unreadable: the '
    'dataset''s entry itself could not be read';
COMMENT ON TABLE labels IS 'Properties of systems, with unit and source.';
COMMENT ON TABLE scores IS
    'Published or measured performance of models, with unit, test set and source.';
COMMENT ON COLUMN labels.property IS 'What was measured or computed, such as energy';
COMMENT ON COLUMN labels.value IS 'In the unit that this row names';
COMMENT ON COLUMN labels.source IS
    'Where the value comes from: a dataset, a paper, a file; or the id of the model that '
    'predicts it';
COMMENT ON COLUMN scores.score IS 'Which figure of merit, such as energy_mae';
COMMENT ON COLUMN scores.value IS 'In the unit that this row names';
COMMENT ON COLUMN scores.test_set IS 'On what it was measured; only scores of one test set compare';
COMMENT ON COLUMN scores.source IS 'Where the figure was read';
