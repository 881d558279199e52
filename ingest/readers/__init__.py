"""Readers of users' files, one module per format.

To add a format, write one module here that defines `READER`: which file names it is for, and a
function that cuts a file into records, each with a function that gives the entries of the record.
`ingest/readers/fasta.py` is a short example. `ingest/readers/shared/discovery.py` finds the module,
and nothing else needs to know of it. `own.py` makes a dataset of a user's file, and `folders.py`
one of many files. What formats share lies in `ingest/readers/shared/`:

    reader        what a reader and a record are
    fields        ids, charges, multiplicities and energies among the fields of an entry
    guard         reading records so that no content of a file is ever a traceback
    packed        files that gzip has compressed
    text          text files: their encoding, and bytes that are not text

Name the format in the table of ingest/README.md, and put awkward files into
`tests/ingest/readers/inputs/`.
"""
