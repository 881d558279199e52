-- provenance_runs DATASETS
-- The runs on datasets (a,b) with vectors in the store, and those that failed and why: weights,
-- image, lock, device. Of an untrained twin, the seed of its random weights; the files that it read
-- give it no more than its architecture and vocabulary.
WITH used AS (SELECT DISTINCT run_id FROM embeddings)
SELECT model_id, dataset, status, reason, sent, ok, failed, not_applicable,
       untrained_seed, map_keys(weights::MAP(VARCHAR, VARCHAR)) AS weights,
       map_values(weights::MAP(VARCHAR, VARCHAR)) AS weights_hash, encoder_hash, lock_hash,
       runs.card_hash, image, runtime, device_name, dtype, versions->>'torch' AS torch, origin,
       started::VARCHAR AS started, seconds, versions::VARCHAR AS versions
FROM runs
WHERE dataset IN (FROM (SELECT unnest(string_split(getvariable('datasets'), ','))))
    AND (status = 'failed' OR run_id IN (FROM used))
ORDER BY status, dataset, model_id, started;
