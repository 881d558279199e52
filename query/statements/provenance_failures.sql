-- provenance_failures DATASETS
-- What has no vector on datasets (a,b), and why: failures by reason. Reasons that differ only in
-- what they quote or count are one, with … in its place.
SELECT f.dataset, status,
       CASE WHEN count(DISTINCT f.reason) = 1 THEN min(f.reason)
            WHEN count(DISTINCT reason_kind(f.reason, numbers := false)) = 1
            THEN min(reason_kind(f.reason, numbers := false))
            ELSE reason_kind(f.reason) END AS reason,
       count(DISTINCT system_id) AS systems,
       count(DISTINCT f.model_id) FILTER (m.untrained_of IS NULL) AS n_models,
       count(DISTINCT f.model_id) FILTER (m.untrained_of IS NOT NULL) AS n_twins,
       list(DISTINCT f.model_id ORDER BY f.model_id) FILTER (m.untrained_of IS NULL) AS models,
       list(DISTINCT f.model_id ORDER BY f.model_id) FILTER (m.untrained_of IS NOT NULL) AS twins,
       min(system_id) AS for_example
FROM failures f LEFT JOIN models m USING (model_id)
WHERE f.dataset IN (FROM (SELECT unnest(string_split(getvariable('datasets'), ','))))
GROUP BY f.dataset, status, reason_kind(f.reason)
ORDER BY f.dataset, status, systems DESC, reason;
