-- depth_profile DATASET [reference=…] [metric=cknna] [k=…] [pooling=mean] [measure=…]
--   [permutations=100]
-- How alike the layers of each model and a reference, by default the model itself, see a dataset,
-- and in how many directions their vectors vary.
SELECT p.model_id, layer, depth, value, calibrated, p_value, null_mean, measured, reference,
       m.family, m.input, m.untrained_of, n, metric, k, estimator, measure, measured_k, warning,
       reason, measured_note
FROM depth_profile(
    dataset := getvariable('dataset'), reference := getvariable('reference'),
    metric := getvariable('metric'), k := getvariable('k')::BIGINT,
    pooling := getvariable('pooling'), measure := getvariable('measure'),
    permutations := getvariable('permutations')::BIGINT, missing := 'common'
) p JOIN models m USING (model_id)
ORDER BY metric, m.family, coalesce(m.untrained_of, p.model_id), m.untrained_of IS NOT NULL,
         p.model_id, depth;
