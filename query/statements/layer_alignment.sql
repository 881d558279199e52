-- layer_alignment DATASET MODEL_A MODEL_B [metric=cknna] [k=…] [pooling=mean] [permutations=100]
-- How alike each layer of a model and each layer of another see a dataset, with the best pair and
-- its p against the best pair by chance.
SELECT layer_a, layer_b, best, value, calibrated, p_value, null_mean, n, k, metric, estimator,
       model_a, model_b, depth_a, depth_b, warning, reason
FROM layer_alignment(
    getvariable('model_a'), getvariable('model_b'), dataset := getvariable('dataset'),
    metric := getvariable('metric'), k := getvariable('k')::BIGINT,
    pooling := getvariable('pooling'), permutations := getvariable('permutations')::BIGINT
)
ORDER BY metric, depth_a, layer_a, depth_b, layer_b;
