-- American spelling, as in all other names.

ALTER TABLE datasets RENAME COLUMN licence TO license;
ALTER TABLE models RENAME COLUMN licence_code TO license_code;
ALTER TABLE models RENAME COLUMN licence_weights TO license_weights;
