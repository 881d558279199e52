-- novelty_errors DATASET [reference=…] [property=…] [source=…] [method=knn] [k=…]
-- Do models err more on what is novel to them? Trained ones, each with the quarter of the systems
-- that is most novel to it beside the others.
SELECT e.model_id, family, spearman, low, high, p_value, novel_error, other_error, e.n,
       n_reference, e.dataset, reference, e.property, e.source, method, k, reason
FROM novelty_errors(
    dataset := getvariable('dataset'), reference := getvariable('reference'),
    property := getvariable('property'), source := getvariable('source'),
    method := coalesce(getvariable('method'), 'knn'), k := getvariable('k')::BIGINT
) e
JOIN models m ON m.model_id = e.model_id AND untrained_of IS NULL
ORDER BY spearman DESC NULLS LAST, e.model_id;
