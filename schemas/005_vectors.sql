-- Vectors lie in Parquet files beside the store, and embeddings is a view over those of loaded
-- runs. schemas/views.py writes the view; this one is that of a store without files.

DROP TABLE embeddings;

CREATE TABLE vector_files (
    file           VARCHAR NOT NULL,
    folder         VARCHAR NOT NULL,
    run_id         VARCHAR NOT NULL,
    dataset        VARCHAR NOT NULL,
    model_id       VARCHAR NOT NULL,
    representation VARCHAR NOT NULL,
    rows           BIGINT NOT NULL,
    bytes          BIGINT NOT NULL,
    sha256         VARCHAR NOT NULL,
    modified       BIGINT
);

CREATE TABLE superseded (
    run_id         VARCHAR NOT NULL,
    system_id      VARCHAR NOT NULL,
    representation VARCHAR NOT NULL
);

CREATE VIEW embeddings AS
SELECT NULL::VARCHAR AS system_id, NULL::VARCHAR AS model_id, NULL::VARCHAR AS representation,
    NULL::VARCHAR AS content_hash, NULL::VARCHAR AS run_id, NULL::FLOAT[] AS vector
WHERE false;

COMMENT ON TABLE vector_files IS
    'Parquet files of vectors, each of one run and representation; what is in no row here is not '
    'in embeddings';
COMMENT ON COLUMN vector_files.file IS 'Its path below the folder of vectors';
COMMENT ON COLUMN vector_files.folder IS
    'The folder of vectors when the view embeddings was last written';
COMMENT ON COLUMN vector_files.bytes IS 'Its size';
COMMENT ON COLUMN vector_files.modified IS
    'When it was written, in ns since 1970; if that differs, its SHA-256 is compared. NULL: it is '
    'in an object store';
COMMENT ON TABLE superseded IS
    'Rows of vector files that are no longer in embeddings: a later run has replaced them, or '
    'their system has left its dataset or changed in it';
COMMENT ON VIEW embeddings IS 'Vectors, one per system, model and representation.';
COMMENT ON COLUMN embeddings.system_id IS 'The system, as in table systems';
COMMENT ON COLUMN embeddings.content_hash IS
    'What the model saw; two vectors are compared only where it agrees';
COMMENT ON COLUMN embeddings.vector IS 'float32, in the model''s own arbitrary units';
