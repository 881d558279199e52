-- kinship DATASET [metric=cknna] [k=…] [permutations=9999]
-- What explains how alike trained models are: a common family, common training data (or parts of one source), or neither. Pairs, then the test.
WITH trained AS (
    FROM models_on(getvariable('dataset')) WHERE untrained_of IS NULL AND len(training_sets) > 0
), pairs AS MATERIALIZED (
    SELECT least(model_a, model_b) AS model_a, greatest(model_a, model_b) AS model_b,
           avg(value) AS value, any_value(n) AS n, any_value(reason) AS undefined
    FROM alignment_matrix(
        dataset := getvariable('dataset'), metric := coalesce(getvariable('metric'), 'cknna'),
        k := getvariable('k')::BIGINT, permutations := 0,
        models := (SELECT coalesce(list(model_id ORDER BY model_id), []) FROM trained)
    ) m
    WHERE m.model_a != m.model_b GROUP BY ALL
), related AS (
    SELECT pairs.*, a.family AS family_a, b.family AS family_b,
           list_sort(CASE WHEN list_has_any(a.training_sets, b.training_sets)
                THEN list_intersect(a.training_sets, b.training_sets)
                ELSE list_intersect(training_origins(a.training_sets), training_origins(b.training_sets)) END) AS common_sets,
           CASE WHEN a.family = b.family THEN 'same family'
                ELSE training_relation(a.training_sets, b.training_sets) END AS relation
    FROM pairs JOIN trained a ON a.model_id = model_a JOIN trained b ON b.model_id = model_b
)
SELECT k.relation, model_a, model_b, family_a, family_b, common_sets, value, n, undefined, mean, low, high, difference,
       p_value, n_pairs, n_models, metric, k, warning, reason
FROM kinship(
    dataset := getvariable('dataset'), metric := coalesce(getvariable('metric'), 'cknna'), k := getvariable('k')::BIGINT,
    permutations := coalesce(getvariable('permutations')::BIGINT, 9999)
) k
LEFT JOIN related r ON r.relation = k.relation
ORDER BY list_position(['same family', 'same training data', 'neither', 'training data not known', 'left out'], k.relation), model_a, model_b;
