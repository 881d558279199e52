-- information_imbalance_plane DATASET_A [dataset_b=…] [models=…] [k=1] [seed=…]
-- What each of two models tells of the other on one dataset or two, on equally many systems:
-- the lower the value, the more.
WITH seen AS MATERIALIZED (
    SELECT getvariable('dataset_a') AS dataset, * FROM models_on(getvariable('dataset_a'))
    UNION ALL
    SELECT getvariable('dataset_b'), * FROM models_on(getvariable('dataset_b'))
), asked AS MATERIALIZED (
    SELECT model_id, any_value(family) AS family, min(n / most) AS share
    FROM (
        SELECT *, max(n) OVER (PARTITION BY dataset) AS most FROM seen
        WHERE coalesce(
            list_contains(string_split(getvariable('models'), ','), model_id),
            kind IN ('model', 'descriptor')
        )
    )
    GROUP BY model_id HAVING count(*) = (SELECT count(DISTINCT dataset) FROM seen)
), kept AS (
    -- a model that sees few systems would leave few for all
    SELECT model_id FROM asked WHERE share >= 0.5
), shared AS (
    SELECT dataset, system_id, row_number() OVER (
        PARTITION BY dataset
        ORDER BY md5(system_id || coalesce(getvariable('seed'), 0)), system_id
    ) AS place
    FROM embeddings e
    JOIN models m ON m.model_id = e.model_id AND representation = default_representation
    JOIN (SELECT DISTINCT dataset FROM seen) ON starts_with(system_id, dataset || '/')
    WHERE e.model_id IN (FROM kept)
    GROUP BY dataset, system_id HAVING count(*) = (SELECT count(*) FROM kept)
), chosen AS MATERIALIZED (
    SELECT dataset, list(system_id ORDER BY system_id) AS systems FROM shared WHERE place <= (
        SELECT min(n) FROM (SELECT count(*) AS n FROM shared GROUP BY dataset)
    ) GROUP BY dataset
), values AS MATERIALIZED (
    FROM alignment_matrix(
        dataset := getvariable('dataset_a'), metric := 'information_imbalance',
        k := getvariable('k')::BIGINT, permutations := 0,
        models := (SELECT coalesce(list(model_id ORDER BY model_id), []) FROM kept),
        systems := (
            SELECT coalesce(any_value(systems), []) FROM chosen
            WHERE dataset = getvariable('dataset_a')
        )
    )
    UNION ALL FROM alignment_matrix(
        dataset := coalesce(getvariable('dataset_b'), getvariable('dataset_a')),
        metric := 'information_imbalance', k := getvariable('k')::BIGINT, permutations := 0,
        models := (
            SELECT coalesce(list(model_id ORDER BY model_id), []) FROM kept
            WHERE getvariable('dataset_b') IS NOT NULL
        ),
        systems := (
            SELECT coalesce(any_value(systems), []) FROM chosen
            WHERE dataset = getvariable('dataset_b')
        )
    )
)
SELECT d.dataset, l.model_id AS model_a, r.model_id AS model_b, l.family AS family_a,
       r.family AS family_b, there.value AS a_to_b, back.value AS b_to_a, there.n, there.k,
       CASE WHEN there.n IS NULL
            THEN 'one of the two sees less than half of the systems that others see'
            ELSE coalesce(there.reason, back.reason) END AS reason
FROM asked l JOIN asked r ON (l.family, l.model_id) < (r.family, r.model_id)
CROSS JOIN (SELECT DISTINCT dataset FROM seen) d
LEFT JOIN values there ON there.model_a = l.model_id AND there.model_b = r.model_id
    AND there.dataset = d.dataset
LEFT JOIN values back ON back.model_a = r.model_id AND back.model_b = l.model_id
    AND back.dataset = d.dataset
ORDER BY d.dataset != getvariable('dataset_a'), l.family, l.model_id, r.family, r.model_id;
