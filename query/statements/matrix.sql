-- matrix DATASET [metric=cknna] [k=25] [estimator=…]
-- Every model's alignment with every other, in hundredths; models in the order of the tree, so that alike ones are close.

CREATE OR REPLACE TEMP TABLE aligned AS
FROM alignment_matrix(
    dataset := getvariable('dataset'), metric := getvariable('metric'), k := getvariable('k')::BIGINT,
    estimator := getvariable('estimator'), permutations := 0
);

CREATE OR REPLACE TEMP TABLE places AS
SELECT model_id, row_number() OVER (ORDER BY node NULLS LAST, model_id) AS place
FROM model_tree(
    dataset := getvariable('dataset'), metric := getvariable('metric'), k := getvariable('k')::BIGINT,
    estimator := getvariable('estimator')
)
WHERE model_id IS NOT NULL;

WITH cells AS (
    SELECT a.place, model_a AS model, b.place AS place_b, coalesce(round(100 * value)::INT::VARCHAR, '·') AS cell
    FROM aligned JOIN places a ON a.model_id = model_a JOIN places b ON b.model_id = model_b
), lines AS (
    SELECT 0 AS place, '' AS model, NULL AS systems, string_agg(lpad(place::VARCHAR, 3, ' '), ' ' ORDER BY place) AS line
    FROM places
    UNION ALL
    SELECT place, model, any_value(n), string_agg(lpad(cell, 3, ' '), ' ' ORDER BY place_b)
    FROM cells JOIN aligned ON model_a = model AND model_b = model GROUP BY ALL
)
SELECT if(place = 0, '', place::VARCHAR) AS "#", model, coalesce(systems::VARCHAR, '') AS n, line AS "alignment × 100"
FROM lines ORDER BY place;
