-- control_alignment DATASET [metric=cknna,…] [k=…] [permutations=999]
-- Each control set against what it must show: the same, chance, or nothing.
-- If one does not hold, believe no other number.
WITH tried AS (
    SELECT c.model_id AS control, c.control_of, c.expected, found.*
    FROM models_on(getvariable('dataset')) c, LATERAL (
        FROM alignment(
            c.control_of, c.model_id, dataset := getvariable('dataset'),
            k := getvariable('k')::BIGINT,
            metric := coalesce(
                getvariable('metric'),
                'cknna, mutual_knn, cka, rsa, distance_correlation, information_imbalance'
            ),
            permutations := coalesce(getvariable('permutations'), 999)::BIGINT
        )
    ) found
    WHERE c.kind = 'control' AND c.control_of IN (SELECT model_id FROM models)
), judged AS (
    SELECT *,
           any_value(value) FILTER (control = control_of)
               OVER (PARTITION BY metric, control_of) AS itself,
           -- Both tails: less alike than chance is no more expected than more. p_value counts
           -- the closer one.
           if(p_value < 0.5, 2 * p_value, least(
               1, 2 * (1 - p_value + 1 / (1 + coalesce(getvariable('permutations'), 999)))
           )) AS p_two_sided,
           0.05 / count(*) FILTER (expected = 'chance' AND value IS NOT NULL) OVER () AS p_least
    FROM tried
)
SELECT metric, control, control_of, expected, value, null_mean - 2 * null_std AS chance_low,
       null_mean, null_mean + 2 * null_std AS chance_high, itself, p_value, p_two_sided, p_least,
       n, k, estimator, reason,
       coalesce(CASE expected
           WHEN 'same' THEN abs(value - itself) <= 1e-3 * abs(itself - null_mean)
               AND p_value <= 0.05
           WHEN 'chance' THEN p_two_sided >= p_least
           WHEN 'undefined' THEN value IS NULL
       END, false) AS holds,
       if(holds, 'as expected', 'not') AS verdict
FROM judged
ORDER BY metric, ['same', 'chance', 'undefined'].list_position(expected), control <> control_of,
         control;
