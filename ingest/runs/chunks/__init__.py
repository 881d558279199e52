"""The parts of a dataset that runs compute.

shared   the file of a part, which the jobs of all models share
cut      where a dataset is cut
whole    chunks that several models compute whole, cut once for all of them
begun    runs that have begun and are continued before anything new is planned
"""
