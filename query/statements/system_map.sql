-- system_map DATASET [model=…] [method=pca] [color=n_atoms] [source=…] [k=…] [max_systems=…]
-- The systems as one model sees them: the model named, or the one that sees the dataset most as the
-- others do.
WITH candidates AS (
    SELECT CASE WHEN getvariable('model') IS NULL THEN list(model_id ORDER BY model_id)
                ELSE [getvariable('model')] END AS names
    FROM models_on(getvariable('dataset')) WHERE kind IN ('model', 'descriptor')
), chosen AS MATERIALIZED (
    SELECT model_a AS model_id FROM alignment_matrix(
        dataset := getvariable('dataset'), permutations := 0,
        models := (SELECT coalesce(names, []) FROM candidates)
    )
    GROUP BY model_a
    ORDER BY avg(value) FILTER (model_a != model_b) DESC NULLS LAST, model_a LIMIT 1
), labeled AS (
    SELECT system_id, value, unit, source FROM labels
    WHERE property = getvariable('color') AND starts_with(system_id, getvariable('dataset') || '/')
), best AS (
    -- of several sources the one named, or that of most systems, with predictions of models last
    SELECT source FROM labeled WHERE coalesce(source = getvariable('source'), true)
    GROUP BY source ORDER BY source IN (SELECT model_id FROM models), count(*) DESC, source LIMIT 1
)
SELECT m.system_id, x, y, s.formula, coalesce(getvariable('color'), 'n_atoms') AS color,
       CASE color WHEN 'n_atoms' THEN s.n_atoms
                  WHEN 'n_elements' THEN len(list_distinct(s.numbers))
                  ELSE l.value END AS value,
       CASE color WHEN 'formula' THEN s.formula END AS category, l.unit, l.source, m.model_id,
       method, explained_x, explained_y, n, k, reason
FROM system_map(
    (SELECT model_id FROM chosen), dataset := getvariable('dataset'),
    method := coalesce(getvariable('method'), 'pca'), k := getvariable('k')::BIGINT,
    max_systems := coalesce(getvariable('max_systems')::BIGINT, 15000)
) m
LEFT JOIN systems s USING (system_id)
LEFT JOIN labeled l ON l.system_id = m.system_id AND l.source = (FROM best)
ORDER BY m.system_id;
