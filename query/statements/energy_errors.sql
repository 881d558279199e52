-- energy_errors DATASET [property=…] [source=…]
-- How well potentials predict energies, whatever their zero is: errors of what a linear model of
-- the composition leaves.
WITH known AS (
    SELECT source, unit, source IN (SELECT model_id FROM models) AS is_model
    FROM labels WHERE starts_with(system_id, getvariable('dataset') || '/')
), compared AS (
    -- where only models have energies, they are compared with the one that has the most
    SELECT coalesce(getvariable('source'), (
        SELECT source FROM known
        WHERE source IN (SELECT model_id FROM models WHERE untrained_of IS NULL) AND NOT EXISTS (
            FROM known WHERE NOT is_model
            AND unit IN ('eV', 'meV', 'Ha', 'Hartree', 'hartree', 'kJ/mol', 'kcal/mol')
        ) GROUP BY source ORDER BY count(*) DESC, source LIMIT 1
    )) AS source
), errors AS MATERIALIZED (
    SELECT e.*, family FROM energy_errors(
        dataset := getvariable('dataset'), property := getvariable('property'),
        source := (SELECT source FROM compared)
    ) e
    JOIN models m ON m.model_id = e.model_id AND untrained_of IS NULL AND e.model_id != e.source
), best AS ( -- the models with systems that are shown
    SELECT model_id FROM errors WHERE mae IS NOT NULL ORDER BY mae, model_id LIMIT 8
)
SELECT e.model_id, family, mae, low, high, median_error, mae_per_atom, raw_mae, rmse, spearman,
       e.n, e.n_elements, e.rank, e.property, e.source, e.warning, e.reason, r.system_id,
       r.formula, r.n_atoms, r.label, r.predicted, r.label_residual, r.predicted_residual,
       r.reason AS absorbed
FROM errors e LEFT JOIN energy_residuals( -- a fit takes no time beside an alignment
    dataset := getvariable('dataset'), property := getvariable('property'),
    source := (SELECT source FROM compared),
    models := (SELECT coalesce(list(model_id), []) FROM best)
) r ON r.model_id = e.model_id
ORDER BY mae NULLS LAST, e.model_id, r.system_id;
