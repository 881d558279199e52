-- system_map DATASET [model=…] [maps=1] [method=pca] [label=…] [source=…] [k=…] [max_systems=…]
-- The systems as models see them, with what the systems are, and a label: as the models named see
-- them (one, or several: a,b), or as many as are to be had, at first one per family, those first
-- that are most like the others.
WITH named AS (
    SELECT str_split(getvariable('model'), ',') AS names
), candidates AS (
    -- those named are not compared
    SELECT coalesce((FROM named)[:1], list(model_id ORDER BY model_id)) AS names
    FROM models_on(getvariable('dataset')) WHERE kind IN ('model', 'descriptor')
), compared AS MATERIALIZED (
    SELECT model_a AS model_id, avg(value) FILTER (model_a != model_b) AS mean
    FROM alignment_matrix(
        dataset := getvariable('dataset'), permutations := 0,
        models := (SELECT coalesce(names, []) FROM candidates)
    )
    GROUP BY model_a
), ranked AS (
    SELECT model_id, mean, row_number() OVER (
        PARTITION BY coalesce(family, model_id) ORDER BY mean DESC NULLS LAST, model_id
    ) AS nth
    FROM compared LEFT JOIN models USING (model_id)
), chosen AS MATERIALIZED (
    SELECT model_id, row_number() OVER (ORDER BY nth, mean DESC NULLS LAST, model_id) AS place
    FROM ranked WHERE getvariable('model') IS NULL
    QUALIFY place <= coalesce(getvariable('maps')::BIGINT, 1)
    UNION ALL
    SELECT unnest(names), generate_subscripts(names, 1) FROM named WHERE names IS NOT NULL
), labeled AS (
    SELECT system_id, value, unit, source FROM labels
    WHERE property = getvariable('label') AND starts_with(system_id, getvariable('dataset') || '/')
), best AS (
    -- of several sources the one named, or that of most systems, with predictions of models last
    SELECT source FROM labeled WHERE coalesce(source = getvariable('source'), true)
    GROUP BY source ORDER BY source IN (SELECT model_id FROM models), count(*) DESC, source LIMIT 1
), parsed AS (
    SELECT *, list_zip(regexp_extract_all(formula, '[A-Z][a-z]?'),
                       regexp_extract_all(formula, '[A-Z][a-z]?(\d*)', 1)) AS parts,
           -- AFLOW's labels name the space group: AB_hP4_186_b_b
           try_cast(regexp_extract(system_id, '_[a-z][A-Z]\d+_(\d+)_', 1) AS INTEGER) AS space_group
    FROM systems WHERE dataset = getvariable('dataset')
), described AS (
    SELECT system_id, formula, n_atoms, len(sequence) AS n_residues,
           len(list_distinct(numbers)) AS n_elements,
           -- the most frequent element, hydrogen only where there is no other
           list_reverse_sort(list_transform(parts, lambda part:
               [(part[1] != 'H')::INTEGER::VARCHAR,
                lpad(coalesce(nullif(part[2], ''), '1'), 9, '0'), part[1]]
           ))[1][3] AS element,
           CASE WHEN space_group <= 2 THEN 'triclinic' WHEN space_group <= 15 THEN 'monoclinic'
                WHEN space_group <= 74 THEN 'orthorhombic' WHEN space_group <= 142 THEN 'tetragonal'
                WHEN space_group <= 167 THEN 'trigonal' WHEN space_group <= 194 THEN 'hexagonal'
                WHEN space_group <= 230 THEN 'cubic' END AS crystal_system,
           CASE WHEN smiles IS NULL THEN NULL
                WHEN regexp_matches(smiles, '(^|[^A-Z])[bcnops]') THEN 'aromatic'
                WHEN regexp_matches(regexp_replace(smiles, '\[[^]]*\]', '*', 'g'), '[\d%]')
                    THEN 'with rings, not aromatic'
                ELSE 'without rings' END AS rings
    FROM parsed
)
SELECT place, m.model_id, m.system_id, x, y, formula, n_atoms, n_residues, n_elements, element,
       "group", crystal_system, rings, getvariable('label') AS label, l.value, l.unit, l.source,
       method, explained_x, explained_y, n, k, reason
FROM chosen, LATERAL (
    FROM system_map(
        chosen.model_id, dataset := getvariable('dataset'),
        method := coalesce(getvariable('method'), 'pca'), k := getvariable('k')::BIGINT,
        max_systems := coalesce(getvariable('max_systems')::BIGINT, 15000)
    )
) m
LEFT JOIN described d USING (system_id)
LEFT JOIN (VALUES
    ('hydrogen', ['H']),
    ('alkali metals', ['Li', 'Na', 'K', 'Rb', 'Cs', 'Fr']),
    ('alkaline earth metals', ['Be', 'Mg', 'Ca', 'Sr', 'Ba', 'Ra']),
    ('boron group', ['B', 'Al', 'Ga', 'In', 'Tl', 'Nh']),
    ('carbon group', ['C', 'Si', 'Ge', 'Sn', 'Pb', 'Fl']),
    ('nitrogen group', ['N', 'P', 'As', 'Sb', 'Bi', 'Mc']),
    ('chalcogens', ['O', 'S', 'Se', 'Te', 'Po', 'Lv']),
    ('halogens', ['F', 'Cl', 'Br', 'I', 'At', 'Ts']),
    ('noble gases', ['He', 'Ne', 'Ar', 'Kr', 'Xe', 'Rn', 'Og']),
    ('lanthanides and actinides', ['La', 'Ce', 'Pr', 'Nd', 'Pm', 'Sm', 'Eu', 'Gd', 'Tb', 'Dy', 'Ho',
        'Er', 'Tm', 'Yb', 'Ac', 'Th', 'Pa', 'U', 'Np', 'Pu', 'Am', 'Cm', 'Bk', 'Cf', 'Es', 'Fm',
        'Md', 'No']),
    ('transition metals', ['Sc', 'Ti', 'V', 'Cr', 'Mn', 'Fe', 'Co', 'Ni', 'Cu', 'Zn', 'Y', 'Zr',
        'Nb', 'Mo', 'Tc', 'Ru', 'Rh', 'Pd', 'Ag', 'Cd', 'Lu', 'Hf', 'Ta', 'W', 'Re', 'Os', 'Ir',
        'Pt', 'Au', 'Hg', 'Lr', 'Rf', 'Db', 'Sg', 'Bh', 'Hs', 'Mt', 'Ds', 'Rg', 'Cn'])
) AS table_of_elements("group", members) ON list_contains(members, element)
LEFT JOIN labeled l ON l.system_id = m.system_id AND l.source = (FROM best)
ORDER BY place, m.system_id;
