-- node_alignment DATASET MODEL_A MODEL_B [by=NULL] [metric=cknna] [k=…] [exchange=system]
--   [per_system=…] [permutations=100] [rows=…]
-- How alike two models see the atoms or residues of a dataset: by=element, by=residue or by=system
-- has a row for each, the largest group first.
SELECT kind, value, calibrated, p_value, null_mean, null_std, n, n_systems, k, metric, estimator,
       exchange, movable, rows, model_a, model_b, warning, reason
FROM node_alignment(
    getvariable('model_a'), getvariable('model_b'), dataset := getvariable('dataset'),
    by := getvariable('by'), metric := getvariable('metric'), k := getvariable('k')::BIGINT,
    exchange := getvariable('exchange'), per_system := getvariable('per_system')::BIGINT,
    permutations := getvariable('permutations')::BIGINT, rows := getvariable('rows')::BIGINT
)
ORDER BY metric, n DESC, kind;
