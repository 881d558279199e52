-- alignment_matrix DATASET [metric=cknna] [models=…] [k=…] [permutations=100]
-- How alike all pairs of models see a dataset, in the order of the tree of these values.
WITH drawn AS (
    SELECT coalesce(
        string_split(getvariable('models'), ','), list(model_id ORDER BY model_id), []
    ) AS names
    FROM models_on(getvariable('dataset')) WHERE kind IN ('model', 'descriptor')
), found AS MATERIALIZED (
    FROM alignment_matrix(
        dataset := getvariable('dataset'), metric := getvariable('metric'),
        k := getvariable('k')::BIGINT, models := (SELECT names FROM drawn),
        permutations := getvariable('permutations')::BIGINT, ordered := true
    )
)
SELECT dense_rank() OVER (
           PARTITION BY metric ORDER BY m.place_a NULLS LAST, model_a
       ) AS place_a,
       dense_rank() OVER (
           PARTITION BY metric ORDER BY m.place_b NULLS LAST, model_b
       ) AS place_b,
       model_a, model_b, a.family AS family_a, b.family AS family_b, metric, value, calibrated,
       p_value, null_mean, n, k, estimator, reason
FROM found m
JOIN models a ON a.model_id = model_a JOIN models b ON b.model_id = model_b
ORDER BY metric, place_a, place_b;
