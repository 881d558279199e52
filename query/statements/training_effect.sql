-- training_effect DATASET [metric=cknna] [models=…] [k=…] [permutations=100]
-- What trained models share beyond their untrained twins: for every pair the value, the value of
-- its twins, and what training added to it.
WITH trained AS MATERIALIZED (
    SELECT m.model_id, m.family, m.training_sets, t.model_id AS twin
    FROM models_on(getvariable('dataset')) m
    LEFT JOIN (
        FROM models_on(getvariable('dataset')) WHERE kind = 'twin'
    ) t ON t.untrained_of = m.model_id
    WHERE m.kind = 'model' AND coalesce(
        list_contains(string_split(getvariable('models'), ','), m.model_id), true
    )
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
        models := (
            SELECT coalesce(list(twin ORDER BY twin), []) FROM trained WHERE twin IS NOT NULL
        )
    )
), drawn AS MATERIALIZED (
    SELECT e.system_id, a.model_id, a.family, hash(e.vector) AS vector
    FROM trained a JOIN embeddings e ON e.model_id = a.twin JOIN models m ON m.model_id = a.twin
    WHERE e.representation = m.default_representation
        AND starts_with(e.system_id, getvariable('dataset') || '/')
), alike AS MATERIALIZED (
    -- twins that are one network, as all of an architecture were in stores from before each had a
    -- seed of its own
    SELECT a.model_id AS model_a, b.model_id AS model_b
    FROM drawn a JOIN drawn b USING (system_id, family)
    WHERE a.model_id <> b.model_id GROUP BY ALL HAVING bool_and(a.vector = b.vector)
), direction AS (
    -- -1 if low is alike, which the values of models with themselves and with others show
    SELECT sign(
        avg(value) FILTER (model_a = model_b) - avg(value) FILTER (model_a <> model_b)
    ) AS up FROM learned
)
SELECT l.model_a, l.model_b, a.family AS family_a, b.family AS family_b,
       CASE WHEN a.family = b.family THEN 'same-family'
            ELSE training_relation(a.training_sets, b.training_sets) END AS relation,
       l.value, t.value AS twins_value, up * (l.value - t.value) AS gained, l.calibrated,
       t.calibrated AS twins_calibrated, l.p_value, t.p_value AS twins_p_value, l.null_mean,
       l.null_std, l.n, t.n AS twins_n, l.metric, l.k, l.estimator,
       coalesce(l.reason, t.reason, CASE
           WHEN a.twin IS NULL OR b.twin IS NULL THEN format(
               'the untrained twin of {} has no vectors here',
               if(a.twin IS NULL, a.model_id, b.model_id)
           )
           WHEN s.model_a IS NOT NULL THEN format(
               'the untrained twins of {} and {} are one and the same network, so they tell '
               'nothing of their architecture: embed them again, with seeds of their own',
               l.model_a, l.model_b
           )
       END) AS reason
FROM learned l JOIN trained a ON a.model_id = l.model_a JOIN trained b ON b.model_id = l.model_b
-- A metric that is not symmetric has two values for a pair, and both are returned.
JOIN learned back ON back.model_a = l.model_b AND back.model_b = l.model_a
LEFT JOIN alike s ON s.model_a = l.model_a AND s.model_b = l.model_b
LEFT JOIN born t ON t.model_a = a.twin AND t.model_b = b.twin AND s.model_a IS NULL
CROSS JOIN direction
WHERE l.model_a < l.model_b OR (l.model_a > l.model_b AND l.value IS DISTINCT FROM back.value)
ORDER BY l.model_a, l.model_b;
