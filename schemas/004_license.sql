-- American spelling, as in the names of all other columns.

ALTER TABLE datasets RENAME COLUMN licence TO license;
ALTER TABLE models RENAME COLUMN licence_code TO license_code;
ALTER TABLE models RENAME COLUMN licence_weights TO license_weights;
