-- alignment_matrix DATASET [metric=cknna] [models=…] [k=…] [permutations=100]
-- How alike all pairs of models see a dataset, in the order of their tree.
WITH drawn AS (
    SELECT coalesce(string_split(getvariable('models'), ','), list(model_id ORDER BY model_id), []) AS names
    FROM models_on(getvariable('dataset')) WHERE kind IN ('model', 'descriptor')
), leaves AS (
    SELECT model_id, row_number() OVER (ORDER BY node NULLS LAST, model_id) AS place
    FROM model_tree(dataset := getvariable('dataset'), models := (SELECT names FROM drawn))
    WHERE model_id IS NOT NULL
)
SELECT a.place AS place_a, b.place AS place_b, model_a, model_b, f.family AS family_a, g.family AS family_b, metric, value,
       calibrated, p_value, null_mean, n, k, estimator, reason
FROM alignment_matrix(
    dataset := getvariable('dataset'), metric := getvariable('metric'), k := getvariable('k')::BIGINT, models := (SELECT names FROM drawn),
    permutations := getvariable('permutations')::BIGINT
)
JOIN leaves a ON a.model_id = model_a JOIN leaves b ON b.model_id = model_b
JOIN models f ON f.model_id = model_a JOIN models g ON g.model_id = model_b
ORDER BY metric, place_a, place_b;
