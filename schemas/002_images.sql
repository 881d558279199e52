-- The image that a run ran in, and what the counts of a run that ended early mean.

ALTER TABLE runs ADD COLUMN image VARCHAR;

COMMENT ON COLUMN runs.image IS
    'Digest or id of the container image it ran in; NULL: a local environment';
COMMENT ON COLUMN runs.runtime IS
    'What started the worker; where it was started several times, the last of them';
COMMENT ON COLUMN runs.sent IS
    'System × representation. Of a failed run, ok, failed and not_applicable are what its '
    'shards hold, and may be fewer';
