-- kinship DATASET [metric=cknna] [k=…] [permutations=9999] [missing=pairwise]
-- What explains how alike trained models are: a common family, common training data, or neither.
-- One row per pair, with the test of its relation.
WITH found AS MATERIALIZED (
    FROM kinship(
        dataset := getvariable('dataset'), metric := coalesce(getvariable('metric'), 'cknna'),
        k := getvariable('k')::BIGINT,
        permutations := coalesce(getvariable('permutations')::BIGINT, 9999),
        missing := coalesce(getvariable('missing'), 'pairwise')
    )
), members AS (
    SELECT relation, metric, unnest(pairs, max_depth := 2) FROM found
)
SELECT relation, model_a, model_b, family_a, family_b, common_sets, value, p.n,
       p.reason AS undefined, mean, low, high, difference, p_value, p_least, n_pairs,
       n_models, metric, k, common_model, one_network, warning, f.reason
FROM found f LEFT JOIN members p USING (relation, metric)
ORDER BY list_position(
    ['same-family', 'same-training-data', 'neither', 'unknown-training-data', 'left-out'], relation
), model_a, model_b;
