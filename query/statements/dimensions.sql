-- dimensions DATASET [measure=intrinsic_dimension] [subsamples=20] [k=…]
-- In how many directions each model's vectors vary, with an untrained twin beside its model.
SELECT coalesce(t.model_id, m.model_id) AS row_of, m.model_id, m.kind, m.family, m.input, value,
       low, high, m.dimension, d.n, measure, method, k, reason
FROM dimensions(
    dataset := getvariable('dataset'),
    measure := coalesce(getvariable('measure'), 'intrinsic_dimension'),
    k := getvariable('k')::BIGINT, subsamples := coalesce(getvariable('subsamples')::BIGINT, 20)
) d
JOIN models_on(getvariable('dataset')) m USING (model_id)
LEFT JOIN models_on(getvariable('dataset')) t ON t.model_id = m.untrained_of
ORDER BY m.kind = 'control', m.input, m.family, row_of, m.kind = 'twin', m.model_id;
