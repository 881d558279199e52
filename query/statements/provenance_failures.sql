-- provenance_failures DATASETS
-- What has no vector on datasets (a,b), and why: failures by reason.
SELECT f.dataset, status, reason, count(DISTINCT system_id) AS systems,
       count(DISTINCT f.model_id) AS n_models,
       list(DISTINCT f.model_id ORDER BY f.model_id) FILTER (m.untrained_of IS NULL) AS models,
       min(system_id) AS for_example
FROM failures f LEFT JOIN models m USING (model_id)
WHERE f.dataset IN (FROM (SELECT unnest(string_split(getvariable('datasets'), ','))))
GROUP BY ALL
ORDER BY f.dataset, status, systems DESC, reason;
