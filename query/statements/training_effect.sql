-- training_effect DATASET [metric=cknna] [models=…] [k=…] [permutations=100]
-- What trained models share beyond their untrained twins: for every pair the value, the mean value
-- of its twins, and what training added to it. Where a model has several twins, every twin of the
-- one is compared with every twin of the other, and the lowest and the highest value are given.
WITH present AS MATERIALIZED (
    FROM models_on(getvariable('dataset'))
), trained AS MATERIALIZED (
    SELECT model_id, family, training_sets FROM present
    WHERE kind = 'model' AND coalesce(
        list_contains(string_split(getvariable('models'), ','), model_id), true
    )
), twins AS MATERIALIZED (
    SELECT t.model_id AS twin, a.model_id, a.family
    FROM present t JOIN trained a ON a.model_id = t.untrained_of WHERE t.kind = 'twin'
), learned AS MATERIALIZED (
    FROM alignment_matrix(
        dataset := getvariable('dataset'), metric := getvariable('metric'),
        k := getvariable('k')::BIGINT, permutations := getvariable('permutations')::BIGINT,
        models := (SELECT coalesce(list(model_id ORDER BY model_id), []) FROM trained)
    )
), born AS MATERIALIZED (
    FROM alignment_matrix(
        dataset := getvariable('dataset'), metric := getvariable('metric'),
        k := getvariable('k')::BIGINT, permutations := getvariable('permutations')::BIGINT,
        models := (SELECT coalesce(list(twin ORDER BY twin), []) FROM twins)
    )
), drawn AS MATERIALIZED (
    SELECT e.system_id, t.twin, t.model_id, t.family, hash(e.vector) AS vector
    FROM twins t JOIN embeddings e ON e.model_id = t.twin JOIN models m ON m.model_id = t.twin
    WHERE e.representation = m.default_representation
        AND starts_with(e.system_id, getvariable('dataset') || '/')
), alike AS MATERIALIZED (
    -- twins that are one network, as all of an architecture were in stores from before each had a
    -- seed of its own
    SELECT a.twin AS twin_a, b.twin AS twin_b
    FROM drawn a JOIN drawn b USING (system_id, family)
    WHERE a.model_id <> b.model_id GROUP BY ALL HAVING bool_and(a.vector = b.vector)
), untrained AS (
    SELECT a.model_id AS model_a, b.model_id AS model_b, avg(t.value) AS value,
           count(t.value) AS pairs, count(s.twin_a) AS alike,
           if(pairs > 1, min(t.value), NULL) AS low, if(pairs > 1, max(t.value), NULL) AS high,
           avg(t.calibrated) AS calibrated, max(t.p_value) AS p_value, min(t.n) AS n,
           min(t.reason) AS reason
    FROM twins a JOIN twins b ON a.model_id <> b.model_id
    LEFT JOIN alike s ON s.twin_a = a.twin AND s.twin_b = b.twin
    LEFT JOIN born t ON t.model_a = a.twin AND t.model_b = b.twin AND s.twin_a IS NULL
    GROUP BY ALL
), direction AS (
    -- -1 if low is alike, which the values of models with themselves and with others show
    SELECT sign(
        avg(value) FILTER (model_a = model_b) - avg(value) FILTER (model_a <> model_b)
    ) AS up FROM learned
)
SELECT l.model_a, l.model_b, a.family AS family_a, b.family AS family_b,
       CASE WHEN a.family = b.family THEN 'same-family'
            ELSE training_relation(a.training_sets, b.training_sets) END AS relation,
       l.value, t.value AS twins_value, t.low AS twins_low, t.high AS twins_high,
       t.pairs AS twins_pairs, up * (l.value - t.value) AS gained,
       l.value * up - greatest(up * t.low, up * t.high) AS gained_low,
       l.value * up - least(up * t.low, up * t.high) AS gained_high, l.calibrated,
       t.calibrated AS twins_calibrated, l.p_value, t.p_value AS twins_p_value, l.null_mean,
       l.null_std, l.n, t.n AS twins_n, l.metric, l.k, l.estimator,
       coalesce(l.reason, CASE
           WHEN t.pairs > 0 THEN NULL
           WHEN t.model_a IS NULL THEN format(
               'the untrained twin of {} has no vectors here',
               if(l.model_a IN (SELECT model_id FROM twins), l.model_b, l.model_a)
           )
           WHEN t.alike > 0 THEN format(
               'the untrained twins of {} and {} are one and the same network, so they tell '
               'nothing of their architecture: embed them again, with seeds of their own',
               l.model_a, l.model_b
           )
           ELSE t.reason
       END) AS reason
FROM learned l JOIN trained a ON a.model_id = l.model_a JOIN trained b ON b.model_id = l.model_b
-- A metric that is not symmetric has two values for a pair, and both are returned.
JOIN learned back ON back.model_a = l.model_b AND back.model_b = l.model_a
LEFT JOIN untrained t ON t.model_a = l.model_a AND t.model_b = l.model_b
CROSS JOIN direction
WHERE l.model_a < l.model_b OR (l.model_a > l.model_b AND l.value IS DISTINCT FROM back.value)
ORDER BY l.model_a, l.model_b;
