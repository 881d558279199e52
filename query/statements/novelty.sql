-- novelty DATASET REFERENCE [method=knn] [k=…]
-- How far the systems of a dataset are from what a reference covers, as each model sees them: the
-- p-value that each share of its systems does not exceed, and the share of at most 0.05.
WITH shared AS MATERIALIZED (
    SELECT here.model_id, here.family, here.kind
    FROM models_on(getvariable('dataset')) here
    JOIN models_on(getvariable('reference')) there USING (model_id)
    WHERE here.kind IN ('model', 'descriptor')
), judged AS MATERIALIZED (
    SELECT s.family, s.kind, n.* FROM shared s, LATERAL (
        FROM novelty(
            model := s.model_id, reference := getvariable('reference'),
            dataset := getvariable('dataset'), k := getvariable('k')::BIGINT,
            method := coalesce(getvariable('method'), 'knn')
        )
    ) n
)
SELECT model_id, family, kind, avg((p_value <= 0.05)::INTEGER) AS novel_share,
       median(p_value) AS median_p, median(z) AS median_z, count(p_value) AS n,
       any_value(n) AS n_reference, count(*) FILTER (in_reference) AS n_shared,
       quantile_disc(p_value, list_transform(range(101), lambda i: i / 100)) AS p_values,
       arg_max(system_id, distance) AS most_novel, any_value(dataset) AS dataset,
       any_value(reference) AS reference, any_value(method) AS method, any_value(k) AS k,
       any_value(reason) AS reason
FROM judged GROUP BY ALL ORDER BY novel_share DESC NULLS LAST, model_id;
