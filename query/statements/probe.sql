-- probe DATASET [property=…] [source=…] [method=…] [groups=…] [folds=5] [permutations=100]
-- How well a label can be read from each model's frozen vectors, with its untrained twin beside it,
-- and from baselines. Without a property, the one that the most systems have.
WITH present AS MATERIALIZED (
    FROM models_on(getvariable('dataset'))
), asked AS MATERIALIZED (
    SELECT coalesce(getvariable('property'), (
        SELECT property FROM labels
        WHERE starts_with(system_id, getvariable('dataset') || '/')
        AND coalesce(source = getvariable('source'), source NOT IN (SELECT model_id FROM models))
        GROUP BY property ORDER BY count(DISTINCT system_id) DESC, property LIMIT 1
    )) AS property
)
SELECT coalesce(m.untrained_of, p.model_id) AS row_of, p.model_id,
       if(p.is_baseline, 'baseline', m.kind) AS kind, m.family, value, low, high, p_value,
       null_mean, error, unit, best_baseline, difference, difference_low, difference_high,
       p.n, n_shared, n_groups, p.property, score, p.method, p.dimension, groups, folds, p.source,
       p.dataset, warning, reason
FROM probe(
    property := (SELECT property FROM asked), dataset := getvariable('dataset'),
    models := (SELECT coalesce(list(model_id ORDER BY model_id), []) FROM present
               WHERE kind IN ('model', 'twin')),
    method := if(getvariable('method') IS NULL, NULL, [getvariable('method')]),
    groups := getvariable('groups'), folds := coalesce(getvariable('folds')::BIGINT, 5),
    source := getvariable('source'),
    permutations := coalesce(getvariable('permutations')::BIGINT, 100)
) p
LEFT JOIN present m USING (model_id)
ORDER BY p.is_baseline, value DESC NULLS LAST, p.model_id;
