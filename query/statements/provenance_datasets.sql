-- provenance_datasets DATASETS
-- Where the systems of datasets (a,b) come from: source, license, hash, and versions of the
-- packages that made them.
SELECT dataset, title, source, license, n_systems, n_unreadable, dataset_hash,
       versions::VARCHAR AS made_with, added::DATE::VARCHAR AS added
FROM datasets
WHERE dataset IN (FROM (SELECT unnest(string_split(getvariable('datasets'), ','))))
ORDER BY dataset;
