-- alignment_curve DATASET [metric=cknna] [model_a=…] [model_b=…] [k=…] [ns=…] [ks=…] [repeats=5]
-- How a value depends on the number of systems and on k: of two models, or of the pairs from
-- different families with the highest and the lowest value.
WITH named AS (
    SELECT list_filter(
        [getvariable('model_a'), getvariable('model_b')], x -> x IS NOT NULL
    ) AS names
), candidates AS MATERIALIZED (
    FROM alignment_matrix(
        dataset := getvariable('dataset'), metric := getvariable('metric'),
        k := getvariable('k')::BIGINT, permutations := 0,
        models := (
            SELECT if(len(any_value(names)) = 2, any_value(names), list_concat(
                any_value(names),
                coalesce(
                    list(model_id ORDER BY model_id) FILTER (kind IN ('model', 'descriptor')), []
                )
            ))
            FROM named LEFT JOIN models_on(getvariable('dataset')) ON true
        )
    )
), ranked AS (
    SELECT model_a, model_b, row_number() OVER (ORDER BY value DESC, model_a, model_b) AS high,
           row_number() OVER (ORDER BY value, model_a, model_b) AS low, len(names) = 2 AS asked
    FROM candidates CROSS JOIN named
    JOIN models a ON a.model_id = model_a JOIN models b ON b.model_id = model_b
    WHERE CASE len(names)
        WHEN 2 THEN model_a = names[1] AND model_b = names[2]
        WHEN 1 THEN value IS NOT NULL AND a.family <> b.family
            AND if(getvariable('model_a') IS NULL, model_b, model_a) = names[1]
        ELSE value IS NOT NULL AND a.family <> b.family AND model_a < model_b
    END
), chosen AS MATERIALIZED (
    SELECT model_a, model_b,
           CASE WHEN asked THEN 'asked for' WHEN high = 1 THEN 'highest' ELSE 'lowest' END AS pair
    FROM ranked WHERE high = 1 OR low = 1
), drawn AS (
    SELECT pair, curve.*, max(n) OVER same AS n_all
    FROM chosen, LATERAL (
        FROM alignment_curve(
            chosen.model_a, chosen.model_b, dataset := getvariable('dataset'),
            metric := getvariable('metric'),
            ns := string_split(getvariable('ns'), ',')::BIGINT[],
            ks := string_split(getvariable('ks'), ',')::BIGINT[],
            repeats := getvariable('repeats')::BIGINT, k := getvariable('k')::BIGINT
        )
    ) curve
    WINDOW same AS (PARTITION BY pair)
)
SELECT pair, model_a, model_b, n, k, value, std, chance, repeats, n_all,
       any_value(k) FILTER (n < n_all) OVER (PARTITION BY pair) AS k_usual, metric, estimator,
       warning, reason
FROM drawn ORDER BY pair, n, k;
