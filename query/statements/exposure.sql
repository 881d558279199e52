-- exposure DATASET
-- Which trained models were trained on a dataset, on something that may overlap it, on sets that
-- nobody compared with it, or on other matter; unknown where nobody says.
SELECT e.model_id, family, exposure, training_set, reason, source, e.training_sets, e.dataset
FROM exposure(dataset := getvariable('dataset')) e
JOIN models_on(getvariable('dataset')) USING (model_id)
WHERE kind = 'model' ORDER BY family, model_id;
