"""Matrices of alignments in strips: pieces of a pass over all pairs of systems, for many processes.

    lists   the neighbor lists of some systems of one model, among all systems
    sums    the sums over tiles of some systems of all models; see `query.engine.sums`
    pairs   value, null and interval of some pairs of models, from all lists and sums

Each strip is a file below `<store>.data/strips/<key>/`, written whole or not at all. The cut
depends on the question and the number of systems, and files are put together in the order of the
strips: the matrix is the same to the last bit however many processes there were, and whichever
were lost.

question   what is asked for, and its folder
parts      the files of strips
cutting    which strips there are
finding    how a strip is found, and read again
staging    copies of vectors on a disk of the node's own
working    what each of several processes does
loading    what one process does at the end
processes  all of it on this machine
outdated   which questions nobody asks any more
"""
