-- convergence DATASET SCORE [reference=…] [metric=cknna] [test_set=…] [source=…]
--   [property=…] [k=…]
-- Are better models more like the best one, or the one named? With the reference's own family, and
-- without it.
FROM convergence(
    dataset := getvariable('dataset'), score := getvariable('score'),
    reference := getvariable('reference'), relation := ['all', 'cross-family'],
    metric := coalesce(getvariable('metric'), 'cknna'), test_set := getvariable('test_set'),
    source := getvariable('source'), property := getvariable('property'),
    k := getvariable('k')::BIGINT
)
ORDER BY relation, test_set, unit, metric, score_value, model_id;
