-- cka and mutual_knn for a DuckDB that lacks our functions, such as one in a browser, written as
-- the aggregates of a store are:
--
--     SELECT cka(a.vector, b.vector), mutual_knn(a.vector, b.vector, k := 10)
--     FROM vectors AS a JOIN vectors AS b USING (dataset, system_id)
--     WHERE a.model_id = '…' AND b.model_id = '…' AND dataset = '…'
--
-- They are the same numbers (a test holds it), with every vector scaled to length 1, and NULL where
-- there is none. All n² inner products are held, so they are for some hundred systems; a null, a p
-- and the other metrics need a store. Rows of which a vector is NULL are left out.
--
-- A macro is replaced by its text, so an argument that is used twice is computed twice. What is
-- costly gets a name first: list_transform([costly], lambda name: …)[1].

-- Vectors, each scaled to length 1; NULL if one of them is zero.
CREATE OR REPLACE MACRO length_of(v) AS sqrt(list_inner_product(v, v));
CREATE OR REPLACE MACRO scaled(v) AS list_transform([length_of(v)], lambda size:
    list_transform(v, lambda element: element / size))[1];
CREATE OR REPLACE MACRO unit_vectors(vectors) AS list_transform([vectors], lambda given: if(
    list_min(list_transform(given, lambda v: length_of(v))) > 0,
    list_transform(given, lambda v: scaled(v)), NULL))[1];

-- Vectors without the first of them, so that equal vectors become zeros exactly, and then without
-- their mean.
CREATE OR REPLACE MACRO minus(v, w) AS list_transform(v, lambda element, j: element - w[j]);
CREATE OR REPLACE MACRO plus(v, w) AS list_transform(v, lambda element, j: element + w[j]);
CREATE OR REPLACE MACRO without_first(vectors) AS
    list_transform([vectors], lambda given: list_transform([given[1]], lambda first:
        list_transform(given, lambda v: minus(v, first)))[1])[1];
CREATE OR REPLACE MACRO without_mean(vectors) AS
    list_transform([without_first(vectors)], lambda given: list_transform([list_reduce(
        given, lambda total, v: plus(total, v))], lambda total:
            list_transform([list_transform(total, lambda element: element / len(given))],
                lambda mean: list_transform(given, lambda v: minus(v, mean)))[1])[1])[1];

-- All inner products of n vectors, as n lists of n.
CREATE OR REPLACE MACRO inner_products(vectors) AS list_transform([vectors], lambda given:
    list_transform(given, lambda v: list_transform(given, lambda w: list_inner_product(v, w))))[1];

-- n (n − 3) times equation 5 of Song et al., JMLR 13 (2012), from products (n² numbers) and
-- diagonals (n) of two models, and n.
CREATE OR REPLACE MACRO dependence(a, diagonal_a, b, diagonal_b, n) AS
    list_inner_product(a, b)
    - list_inner_product(diagonal_a, diagonal_b) * (1 + 2 / (n - 2))
    + list_sum(diagonal_a) * list_sum(diagonal_b) / ((n - 1) * (n - 2));
CREATE OR REPLACE MACRO square_and_diagonal(products) AS list_transform([products], lambda lines:
    {'all': flatten(lines), 'diagonal': list_transform(lines, lambda line, i: line[i])})[1];
CREATE OR REPLACE MACRO dependence_ratio(of) AS list_transform([{
    'a_b': dependence(of.a.all, of.a.diagonal, of.b.all, of.b.diagonal, len(of.a.diagonal)),
    'a_a': dependence(of.a.all, of.a.diagonal, of.a.all, of.a.diagonal, len(of.a.diagonal)),
    'b_b': dependence(of.b.all, of.b.diagonal, of.b.all, of.b.diagonal, len(of.a.diagonal)),
    'is_defined': len(of.a.diagonal) >= 4
}], lambda found: if(
    found.is_defined
        AND found.a_a > 1e-9 * list_inner_product(of.a.all, of.a.all)
        AND found.b_b > 1e-9 * list_inner_product(of.b.all, of.b.all),
    found.a_b / sqrt(found.a_a * found.b_b), NULL))[1];

-- How likely each system is among the k nearest of each other one if ties are broken at random, as
-- n² numbers: 1, 0, or a share for those that are as near as the k-th. None is its own neighbor.
CREATE OR REPLACE MACRO weights_of_one(others, k) AS
    list_transform([list_reverse_sort(others)[k]], lambda last:
        list_transform([{
            'nearer': len(list_filter(others, lambda each: each > last + 1e-12)),
            'tied': len(list_filter(others, lambda each: abs(each - last) <= 1e-12))
        }], lambda counts: list_transform(others, lambda each: CASE
            WHEN each > last + 1e-12 THEN 1
            WHEN each < last - 1e-12 THEN 0
            ELSE (k - counts.nearer) / counts.tied END))[1])[1];
CREATE OR REPLACE MACRO neighbor_weights(products, k) AS
    flatten(list_transform(products, lambda line, i: list_transform([
        list_transform(line, lambda product, j: if(i = j, -2, product))
    ], lambda others: weights_of_one(others, k))[1]));
CREATE OR REPLACE MACRO weights_if_any(products, k) AS list_transform([products], lambda lines: if(
    len(lines) >= greatest(k + 2, 4) AND list_min(flatten(lines)) < 1 - 1e-12,
    neighbor_weights(lines, k), NULL))[1];
CREATE OR REPLACE MACRO share(a, b) AS
    list_inner_product(a, b) / sqrt(list_inner_product(a, a) * list_inner_product(b, b));

-- The vectors of two models in the same order.
CREATE OR REPLACE MACRO pairs(a, b) AS coalesce(list({'a': a::DOUBLE[], 'b': b::DOUBLE[]})
    FILTER (a IS NOT NULL AND b IS NOT NULL), []);

CREATE OR REPLACE MACRO cka(a, b) AS list_transform([pairs(a, b)], lambda given:
    list_transform([{
        'a': square_and_diagonal(inner_products(without_mean(unit_vectors(
            list_transform(given, lambda pair: pair.a))))),
        'b': square_and_diagonal(inner_products(without_mean(unit_vectors(
            list_transform(given, lambda pair: pair.b)))))
    }], lambda of: dependence_ratio(of))[1])[1];

CREATE OR REPLACE MACRO mutual_knn(a, b, k := 25) AS list_transform([pairs(a, b)], lambda given:
    list_transform([{
        'a': weights_if_any(inner_products(unit_vectors(
            list_transform(given, lambda pair: pair.a))), k),
        'b': weights_if_any(inner_products(unit_vectors(
            list_transform(given, lambda pair: pair.b))), k)
    }], lambda of: share(of.a, of.b))[1])[1];
