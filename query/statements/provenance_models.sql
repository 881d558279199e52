-- provenance_models DATASETS
-- The models with vectors on datasets (a,b): kind, family, what they were trained on, whether the
-- datasets were among that, licenses, citation.
WITH seen AS (
    SELECT model_id, kind, max(dimension) AS dimension,
           string_agg(format('{} {}', dataset, n), ', ' ORDER BY dataset) AS systems
    FROM (SELECT unnest(string_split(getvariable('datasets'), ',')) AS dataset), LATERAL (
        SELECT model_id, kind, n, dimension FROM models_on(dataset)
    ) GROUP BY ALL
), exposed AS (
    SELECT model_id, string_agg(format('{} {}', d.dataset, e.exposure), ', ' ORDER BY d.dataset)
               FILTER (e.exposure <> 'untrained') AS exposure
    FROM (SELECT unnest(string_split(getvariable('datasets'), ',')) AS dataset) d, LATERAL (
        SELECT model_id, exposure FROM exposure(dataset := d.dataset)
    ) e GROUP BY ALL
)
SELECT model_id, kind, family, input, systems, dimension, parameters, training_sets, exposure,
       architecture,
       if(untrained_of IS NULL, card->>'$.provenance.level_of_theory', NULL) AS level_of_theory,
       license_code, license_weights,
       card_hash, card->>'$.provenance.doi' AS doi,
       list_filter( -- other models of the same network
           list(model_id ORDER BY model_id) OVER (
               PARTITION BY kind,
                            coalesce(nullif(card->>'$.weights.files[*].sha256', []), [model_id])
           ), lambda other: other <> model_id
       ) AS same_weights
FROM seen JOIN models USING (model_id) LEFT JOIN exposed USING (model_id)
ORDER BY list_position(['model', 'descriptor', 'twin', 'control'], kind), family, model_id;
