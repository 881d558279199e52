-- alignment_matrix_text DATASET [metric=cknna] [k=25] [estimator=…]
-- Every model's alignment with every other, in hundredths, in the order of their tree, so that
-- models that are alike are close to each other. Several datasets are separated by commas.
WITH found AS MATERIALIZED (
    SELECT name, place, m.*
    FROM (
        SELECT unnest(names) AS name, generate_subscripts(names, 1) AS place
        FROM (SELECT string_split_regex(getvariable('dataset'), ', *') AS names)
    ) d,
    LATERAL (FROM alignment_matrix(
        dataset := d.name, metric := getvariable('metric'), k := getvariable('k')::BIGINT,
        estimator := getvariable('estimator'), permutations := 0, ordered := true
    )) m
), aligned AS (
    SELECT *,
           dense_rank() OVER (PARTITION BY place ORDER BY place_a NULLS LAST, model_a)
               AS line_number,
           dense_rank() OVER (PARTITION BY place ORDER BY place_b NULLS LAST, model_b)
               AS column_number
    FROM found
), lines AS (
    SELECT place, 0 AS number, name AS model, NULL AS systems,
           string_agg(lpad(line_number::VARCHAR, 3, ' '), ' ' ORDER BY line_number) AS line
    FROM aligned WHERE model_a = model_b GROUP BY place, name
    UNION ALL
    SELECT place, line_number, model_a, any_value(n) FILTER (model_a = model_b),
           string_agg(
               lpad(coalesce(round(100 * value)::INT::VARCHAR, '·'), 3, ' '), ' '
               ORDER BY column_number
           )
    FROM aligned GROUP BY place, line_number, model_a
)
SELECT if(number = 0, '', number::VARCHAR) AS "#", model, coalesce(systems::VARCHAR, '') AS n,
       line AS "alignment × 100"
FROM lines ORDER BY place, number;
