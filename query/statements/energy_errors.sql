-- energy_errors DATASET [property=…] [source=…]
-- How well potentials predict energies, whatever their zero is: errors of what a linear model of
-- the composition leaves, per atom. Without labels they are differences to the model in the middle,
-- by medians over systems, so that one wild prediction weighs little.
WITH known AS (
    SELECT source, unit, source IN (SELECT model_id FROM models) AS is_model
    FROM labels WHERE starts_with(system_id, getvariable('dataset') || '/')
), candidates AS (
    -- where only models have energies, those that have nearly all of them
    SELECT source FROM known JOIN models ON model_id = source AND untrained_of IS NULL
    WHERE getvariable('source') IS NULL AND NOT EXISTS (
        FROM known WHERE NOT is_model
        AND unit IN ('eV', 'meV', 'Ha', 'Hartree', 'hartree', 'kJ/mol', 'kcal/mol')
    ) GROUP BY source QUALIFY count(*) >= 0.9 * max(count(*)) OVER ()
), residuals AS MATERIALIZED ( -- the same whoever made the labels; 1,000 systems tell enough
    SELECT r.model_id AS source, r.system_id, predicted_residual / n_atoms AS residual
    FROM (
        SELECT min(source) AS source, list(source) AS models FROM candidates HAVING count(*) > 1
    ) c, LATERAL (
        FROM energy_residuals(
            dataset := getvariable('dataset'), property := getvariable('property'),
            source := c.source, models := c.models
        )
    ) r
    WHERE predicted_residual IS NOT NULL
    QUALIFY dense_rank() OVER (ORDER BY sha256(r.system_id)) <= 1000
), between_models AS (
    SELECT a.source, b.source AS other, median(abs(a.residual - b.residual)) AS apart
    FROM residuals a JOIN residuals b USING (system_id) WHERE a.source <> b.source GROUP BY ALL
), middle AS ( -- the model that the others differ from the least
    SELECT source, median(apart) AS apart FROM between_models
    GROUP BY source ORDER BY apart, source LIMIT 1
), compared AS (
    SELECT coalesce(
        getvariable('source'), (SELECT source FROM middle), (SELECT min(source) FROM candidates)
    ) AS source
), errors AS MATERIALIZED (
    SELECT e.*, family FROM energy_errors(
        dataset := getvariable('dataset'), property := getvariable('property'),
        source := (SELECT source FROM compared)
    ) e
    JOIN models m ON m.model_id = e.model_id AND untrained_of IS NULL AND e.model_id != e.source
), best AS ( -- the models with systems that are shown
    SELECT model_id FROM errors WHERE mae IS NOT NULL ORDER BY mae_per_atom, model_id LIMIT 8
)
SELECT e.model_id, family, mae, low, high, median_error, mae_per_atom, low_per_atom, high_per_atom,
       raw_mae, rmse, spearman, e.n, e.n_elements, e.rank, e.property, e.source,
       if(e.source IN (SELECT model_id FROM models), 'predictions', 'labels') AS compared_with,
       (SELECT format(
           'the other models that have energies differ from it the least: half of them, on half '
           'of the systems, by at most {:.2g} eV/atom', apart
       ) FROM middle) AS source_reason, e.warning, e.reason, r.system_id, r.formula,
       r.n_atoms, r.label, r.predicted, r.label_residual, r.predicted_residual,
       r.reason AS absorbed
FROM errors e LEFT JOIN energy_residuals( -- a fit takes no time beside an alignment
    dataset := getvariable('dataset'), property := getvariable('property'),
    source := (SELECT source FROM compared),
    models := (SELECT coalesce(list(model_id), []) FROM best)
) r ON r.model_id = e.model_id
ORDER BY mae_per_atom NULLS LAST, e.model_id, r.system_id;
