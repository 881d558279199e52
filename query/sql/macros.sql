-- What a query can call beside the aggregates of metrics and measures. A NULL option is its default; `systems` narrows a
-- dataset to a list of system_ids. Every row carries what is needed to read its value, or the reason why there is none.

-- Who asks, so that a function reads the store that the statement around it would read: the connection's number, where
-- it looks names up, and which of its temporary tables and views hide the store's from its statements.
CREATE OR REPLACE TEMP MACRO __caller() AS {
    'number': getvariable('matterzoo_connection')::BIGINT, 'search_path': current_setting('search_path'),
    'hiding': (
        SELECT list(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_catalog = 'temp' AND
            table_name IN ('embeddings', 'models', 'datasets', 'systems', 'labels', 'scores', 'runs', 'failures')
    )
};

-- What a function says: its rows, or the one sentence why there are none, without the stack of an exception.
CREATE OR REPLACE TEMP MACRO __rows(said) AS TABLE
    SELECT unnest(if(found.error IS NULL, found.rows, error(found.error)), max_depth := 2) FROM (SELECT said AS found);

CREATE OR REPLACE TEMP MACRO models_on(dataset) AS TABLE
    SELECT m.model_id, CASE WHEN m.card->>'$.control.of' IS NOT NULL THEN 'control' WHEN m.untrained_of IS NOT NULL THEN 'twin'
               WHEN m.parameters = 0 THEN 'descriptor' ELSE 'model' END AS kind,
           m.family, m.input, m.training_sets, m.untrained_of, m.card->>'$.control.of' AS control_of,
           m.card->>'$.control.expect' AS expected, seen.n, seen.dimension
    FROM models m JOIN (
        SELECT model_id, representation, count(*) AS n, any_value(len(vector)) AS dimension
        FROM embeddings WHERE starts_with(system_id, dataset || '/') GROUP BY ALL
    ) seen ON seen.model_id = m.model_id AND seen.representation = m.default_representation
    ORDER BY m.model_id;
COMMENT ON MACRO TABLE models_on IS
'The models that have vectors on a dataset, each a trained model, a descriptor, an untrained twin or a control';

CREATE OR REPLACE TEMP MACRO alignment(
    model_a, model_b, dataset := NULL, metric := 'cknna', k := NULL, estimator := NULL, normalize := 'l2',
    permutations := 100, subsamples := 0, seed := 0, device := NULL, systems := NULL
) AS TABLE
    FROM __rows(__alignment(__caller(), model_a::VARCHAR, model_b::VARCHAR, dataset::VARCHAR, systems, {
        'metric': metric::VARCHAR, 'k': k::VARCHAR, 'estimator': estimator, 'normalize': normalize,
        'permutations': permutations::VARCHAR, 'subsamples': subsamples::VARCHAR, 'seed': seed::VARCHAR,
        'device': device
    }));
COMMENT ON MACRO TABLE alignment IS
'How alike two models see a dataset; without one, every dataset that either has seen';

CREATE OR REPLACE TEMP MACRO alignment_matrix(
    dataset := NULL, models := NULL, metric := 'cknna', k := NULL, estimator := NULL, normalize := 'l2',
    permutations := 100, subsamples := 0, seed := 0, device := NULL, systems := NULL, missing := 'pairwise',
    ordered := false
) AS TABLE
    FROM __rows(__alignment_matrix(__caller(), dataset::VARCHAR, models, systems, missing, ordered::BOOLEAN, {
        'metric': metric::VARCHAR, 'k': k::VARCHAR, 'estimator': estimator, 'normalize': normalize,
        'permutations': permutations::VARCHAR, 'subsamples': subsamples::VARCHAR, 'seed': seed::VARCHAR,
        'device': device
    }));
COMMENT ON MACRO TABLE alignment_matrix IS
'All ordered pairs of models, also of a model with itself. missing := ''common'' compares all on the systems all share; ordered := true adds place_a and place_b, the order of their tree';

CREATE OR REPLACE TEMP MACRO alignment_curve(
    model_a, model_b, dataset := NULL, metric := 'cknna', ns := NULL, ks := NULL, repeats := 5, k := NULL,
    estimator := NULL, normalize := 'l2', seed := 0, device := NULL, systems := NULL
) AS TABLE
    FROM __rows(__alignment_curve(
        __caller(), model_a::VARCHAR, model_b::VARCHAR, dataset::VARCHAR, ns::VARCHAR[], ks::VARCHAR[],
        repeats::VARCHAR, systems, {
            'metric': metric::VARCHAR, 'k': k::VARCHAR, 'estimator': estimator, 'normalize': normalize,
            'permutations': '10', 'subsamples': '0', 'seed': seed::VARCHAR, 'device': device
        }
    ));
COMMENT ON MACRO TABLE alignment_curve IS
'How the value of two models depends on the number of systems and on k: compare values at equal k and n, or k / n';

CREATE OR REPLACE TEMP MACRO dimensions(
    dataset := NULL, models := NULL, measure := 'intrinsic_dimension', method := NULL, k := NULL, normalize := 'none',
    subsamples := 0, seed := 0, systems := NULL
) AS TABLE
    FROM __rows(__dimensions(
        __caller(), dataset::VARCHAR, models, measure, method, k::VARCHAR, normalize, subsamples::VARCHAR, seed::VARCHAR, systems
    ));
COMMENT ON MACRO TABLE dimensions IS
'In how many directions each model''s vectors vary, by any measure of one model; low to high from subsamples';

CREATE OR REPLACE TEMP MACRO nearest_models(
    model, dataset := NULL, metric := 'cknna', k := NULL, top := 10, models := NULL, estimator := NULL, normalize := 'l2',
    permutations := 100, subsamples := 0, seed := 0, device := NULL
) AS TABLE
    FROM __rows(__nearest_models(__caller(), model, dataset::VARCHAR, top::VARCHAR, models, {
        'metric': metric::VARCHAR, 'k': k::VARCHAR, 'estimator': estimator, 'normalize': normalize,
        'permutations': permutations::VARCHAR, 'subsamples': subsamples::VARCHAR, 'seed': seed::VARCHAR,
        'device': device
    }));
COMMENT ON MACRO TABLE nearest_models IS
'The models that see a dataset most like this one does, best first';

CREATE OR REPLACE TEMP MACRO nearest_systems(model, system_id, k := 10, dataset := NULL) AS TABLE
    FROM __rows(__nearest_systems(
        __caller(), model, system_id, k::VARCHAR, dataset::VARCHAR
    ));
COMMENT ON MACRO TABLE nearest_systems IS
'The systems that a model sees as most like this one, by cosine similarity; without a dataset, from all of them';

CREATE OR REPLACE TEMP MACRO model_tree(
    dataset := NULL, metric := 'cknna', k := NULL, models := NULL, estimator := NULL, normalize := 'l2',
    missing := 'pairwise', device := NULL
) AS TABLE
    FROM __rows(__model_tree(__caller(), dataset::VARCHAR, models, missing, {
        'metric': metric::VARCHAR, 'k': k::VARCHAR, 'estimator': estimator, 'normalize': normalize,
        'permutations': '0', 'subsamples': '0', 'seed': '0', 'device': device
    }));
COMMENT ON MACRO TABLE model_tree IS
'Neighbor joining of the models by √JSD of their alignments with all others; ORDER BY node is the order of its leaves';

CREATE OR REPLACE TEMP MACRO convergence(
    dataset := NULL, reference := NULL, score := NULL, metric := 'cknna', k := NULL, test_set := NULL, source := NULL,
    relation := 'all', property := NULL, estimator := NULL, normalize := 'l2', permutations := 100, subsamples := 0, seed := 0,
    device := NULL
) AS TABLE
    FROM __rows(__convergence(
        __caller(), dataset::VARCHAR, reference, score, test_set, source, relation::VARCHAR, property, {
            'metric': metric::VARCHAR, 'k': k::VARCHAR, 'estimator': estimator, 'normalize': normalize,
            'permutations': permutations::VARCHAR, 'subsamples': subsamples::VARCHAR, 'seed': seed::VARCHAR,
            'device': device
        }
    ));
COMMENT ON MACRO TABLE convergence IS
'Do better models see matter more like the reference, by default the best? relation := ''cross-family'' leaves its family out';

CREATE OR REPLACE TEMP MACRO energy_errors(
    dataset := NULL, property := NULL, source := NULL, models := NULL, systems := NULL, missing := 'pairwise'
) AS TABLE
    FROM __rows(__energy_errors(
        __caller(), dataset::VARCHAR, property, source, models, systems, missing
    ));
COMMENT ON MACRO TABLE energy_errors IS
'How far each model''s energies are from the labels, in eV, once a linear model of the composition is taken from both';

CREATE OR REPLACE TEMP MACRO energy_residuals(
    dataset := NULL, property := NULL, source := NULL, models := NULL, systems := NULL, missing := 'pairwise'
) AS TABLE
    FROM __rows(__energy_residuals(
        __caller(), dataset::VARCHAR, property, source, models, systems, missing
    ));
COMMENT ON MACRO TABLE energy_residuals IS
'What a linear model of the composition leaves of labels and of models'' predictions, in eV, one row a model and system';

CREATE OR REPLACE TEMP MACRO kinship(
    dataset := NULL, models := NULL, metric := 'cknna', k := NULL, permutations := 9999, estimator := NULL,
    normalize := 'l2', missing := 'pairwise', seed := 0, device := NULL
) AS TABLE
    FROM __rows(__kinship(__caller(), dataset::VARCHAR, models, missing, permutations::VARCHAR, {
        'metric': metric::VARCHAR, 'k': k::VARCHAR, 'estimator': estimator, 'normalize': normalize,
        'permutations': '0', 'subsamples': '0', 'seed': seed::VARCHAR, 'device': device
    }));
COMMENT ON MACRO TABLE kinship IS
'How alike trained models are by what they share: a family, training data, or neither; p by permuting the models';

CREATE OR REPLACE TEMP MACRO system_map(
    model, dataset := NULL, method := 'pca', k := NULL, max_systems := 15000, normalize := 'l2', seed := 0
) AS TABLE
    FROM __rows(__system_map(
        __caller(), model, dataset::VARCHAR, method, k::VARCHAR, max_systems::VARCHAR, normalize, seed::VARCHAR
    ));
COMMENT ON MACRO TABLE system_map IS
'A map of the systems as a model sees them: two coordinates each, by principal components or method := ''umap''';
