-- Runs that were not computed here, but were fetched from where others published them.

ALTER TABLE runs ADD COLUMN origin VARCHAR;

COMMENT ON COLUMN runs.origin IS
    'Where it was fetched from, <repository>@<commit>; NULL: it was computed here. The rest of '
    'the row is as published';
