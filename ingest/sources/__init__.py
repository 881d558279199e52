"""Datasets that matterzoo knows by name, one module each.

To add a dataset, write one module here that defines `DATASET`;
`ingest/sources/shared/discovery.py` finds it, and nothing else needs to know of it. There are two
kinds:

A dataset that an installed package or `ingest/sources/carried` carries, or that is generated, is a
`ingest.systems.dataset.Dataset` with a function `entries`; `elements.py` is a short example.

A dataset that is downloaded has a TOML file of facts (addresses, checksums, license, units) beside
its module. `ingest/sources/shared/downloaded.py` says what the module defines; `qm9.py` is an
example, and `omat24.py` one of archives whose format is known already.

What datasets share lies in `ingest/sources/shared/`:

    discovery       finding a dataset by its name, or a user's files by their path
    source          the facts of a dataset's TOML file, and its files on this machine
    carried         the tables of ingest/sources/carried
    downloaded      a dataset of which a sample is read
    lmdb_archives   archives of ASE's LMDB databases
"""
