-- model_tree DATASET [metric=cknna] [models=…] [k=…]
-- The neighbor-joining tree of the models with all that is needed to draw it; models without a
-- place in it come last.
WITH RECURSIVE nodes AS MATERIALIZED (
    FROM model_tree(
        dataset := getvariable('dataset'), metric := getvariable('metric'),
        k := getvariable('k')::BIGINT,
        models := (
            SELECT coalesce(
                string_split(getvariable('models'), ','), list(model_id ORDER BY model_id), []
            )
            FROM models_on(getvariable('dataset')) WHERE kind IN ('model', 'descriptor')
        )
    )
), down AS ( -- x: the way from the root, with branches below zero as zero
    SELECT node, 0.0::DOUBLE AS x, [node] AS path FROM nodes
    WHERE parent IS NULL AND node IS NOT NULL
    UNION ALL
    SELECT n.node, x + greatest(n.branch_length, 0), list_append(path, n.node)
    FROM nodes n JOIN down ON n.parent = down.node
), leaves AS (
    SELECT node, path, row_number() OVER (ORDER BY node) - 1 AS place
    FROM down JOIN nodes USING (node) WHERE model_id IS NOT NULL
), up AS ( -- y: the place of a leaf; of a branching, the mean of the leaves beyond it
    SELECT inner_node AS node, avg(place) AS y
    FROM (SELECT unnest(path) AS inner_node, place FROM leaves) GROUP BY inner_node
), kinds AS (
    SELECT DISTINCT model_id, kind FROM models_on(getvariable('dataset'))
)
SELECT n.node, n.parent, n.branch_length AS branch, x, y, n.model_id AS model, family, kind, input,
       CASE WHEN n.model_id IS NULL THEN NULL
            WHEN training_sets IS NULL THEN 'not known'
            WHEN len(training_sets) = 0 THEN 'none'
            WHEN len(training_sets) <= 3 THEN array_to_string(training_sets, ' + ')
            ELSE format('{} and {} more', training_sets[1], len(training_sets) - 1)
       END AS training,
       training_sets, n.reason, newick
FROM nodes n LEFT JOIN down USING (node) LEFT JOIN up USING (node)
LEFT JOIN models m ON m.model_id = string_split(n.model_id, '#')[1]
LEFT JOIN kinds t ON t.model_id = m.model_id
ORDER BY n.node NULLS LAST, n.model_id;
