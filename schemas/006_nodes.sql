-- Vectors of atoms and residues lie in Parquet files, too, in a folder of their own. Their
-- representation here ends with ":nodes". schemas/views.py writes the view; this one is that of a
-- store without such files.

ALTER TABLE vector_files ADD COLUMN systems BIGINT;

CREATE VIEW node_embeddings AS
SELECT NULL::VARCHAR AS system_id, NULL::INTEGER AS node, NULL::VARCHAR AS content_hash,
    NULL::VARCHAR AS model_id, NULL::VARCHAR AS representation, NULL::VARCHAR AS run_id,
    NULL::FLOAT[] AS vector
WHERE false;

COMMENT ON COLUMN vector_files.representation IS
    'As in embeddings; of vectors of nodes, as in node_embeddings with :nodes behind it';
COMMENT ON COLUMN vector_files.systems IS
    'Of vectors of nodes: how many systems begin in it. NULL: each row is of a system';
COMMENT ON VIEW node_embeddings IS
    'Vectors of atoms and residues, one per node, model and representation.';
COMMENT ON COLUMN node_embeddings.system_id IS 'The system, as in table systems';
COMMENT ON COLUMN node_embeddings.node IS
    'Which atom or residue, from 0, in the order of systems.numbers or of systems.sequence';
COMMENT ON COLUMN node_embeddings.content_hash IS
    'What the model saw of the system; two vectors are compared only where it agrees';
COMMENT ON COLUMN node_embeddings.vector IS 'float32, in the model''s own arbitrary units';
