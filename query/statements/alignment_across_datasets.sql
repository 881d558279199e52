-- alignment_across_datasets DATASET_A DATASET_B [metric=cknna,distance_correlation]
--   [models=…] [k=…] [seed=…] [permutations=20]
-- How alike pairs of models see one dataset and another, on equally many systems,
-- since values depend on their number.
WITH asked AS MATERIALIZED (
    SELECT model_id, a.family,
           a.n / max(a.n) OVER () AS share_a, b.n / max(b.n) OVER () AS share_b
    FROM models_on(getvariable('dataset_a')) a
    JOIN models_on(getvariable('dataset_b')) b USING (model_id)
    WHERE coalesce(
        list_contains(string_split(getvariable('models'), ','), model_id),
        a.kind IN ('model', 'descriptor')
    )
), kept AS (
    -- a model that sees few systems would leave few for all
    SELECT model_id FROM asked WHERE least(share_a, share_b) >= 0.5
), shared AS (
    SELECT system_id, starts_with(system_id, getvariable('dataset_a') || '/') AS on_a,
           row_number() OVER (
               PARTITION BY on_a
               ORDER BY md5(system_id || coalesce(getvariable('seed'), 0)), system_id
           ) AS place
    FROM embeddings e
    JOIN models m ON m.model_id = e.model_id AND representation = default_representation
    WHERE e.model_id IN (FROM kept)
        AND (on_a OR starts_with(system_id, getvariable('dataset_b') || '/'))
    GROUP BY system_id HAVING count(*) = (SELECT count(*) FROM kept)
), chosen AS MATERIALIZED (
    SELECT on_a, system_id FROM shared WHERE place <= (
        SELECT least(count(*) FILTER (on_a), count(*) FILTER (NOT on_a)) FROM shared
    )
), a AS MATERIALIZED (
    FROM alignment_matrix(
        dataset := getvariable('dataset_a'),
        metric := coalesce(getvariable('metric'), 'cknna, distance_correlation'),
        k := getvariable('k')::BIGINT,
        permutations := coalesce(getvariable('permutations')::BIGINT, 20),
        models := (SELECT coalesce(list(model_id ORDER BY model_id), []) FROM kept),
        systems := (
            SELECT coalesce(list(system_id ORDER BY system_id), []) FROM chosen WHERE on_a
        )
    )
), b AS MATERIALIZED (
    FROM alignment_matrix(
        dataset := getvariable('dataset_b'),
        metric := coalesce(getvariable('metric'), 'cknna, distance_correlation'),
        k := getvariable('k')::BIGINT,
        permutations := coalesce(getvariable('permutations')::BIGINT, 20),
        models := (SELECT coalesce(list(model_id ORDER BY model_id), []) FROM kept),
        systems := (
            SELECT coalesce(list(system_id ORDER BY system_id), []) FROM chosen WHERE NOT on_a
        )
    )
)
SELECT a.metric, l.model_id AS model_a, r.model_id AS model_b, l.family AS family_a,
       r.family AS family_b, a.value AS on_a, b.value AS on_b, a.calibrated AS calibrated_a,
       b.calibrated AS calibrated_b, a.p_value AS p_value_a, b.p_value AS p_value_b,
       a.null_mean AS null_mean_a, b.null_mean AS null_mean_b, a.n AS n_a, b.n AS n_b, a.k,
       a.estimator, getvariable('dataset_a') AS dataset_a, getvariable('dataset_b') AS dataset_b,
       CASE WHEN a.metric IS NULL
            THEN 'one of the two sees less than half of the systems that others see'
            ELSE coalesce(a.reason, b.reason) END AS reason
FROM asked l JOIN asked r ON l.model_id < r.model_id
LEFT JOIN a ON a.model_a = l.model_id AND a.model_b = r.model_id
LEFT JOIN b ON b.model_a = l.model_id AND b.model_b = r.model_id AND b.metric = a.metric
ORDER BY a.metric NULLS LAST, l.model_id, r.model_id;
