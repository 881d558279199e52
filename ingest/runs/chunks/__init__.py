"""The parts of a dataset that runs compute.

cut      where a dataset is cut
shared   the file of a part, which the jobs of all models share
begun    runs that have begun and are continued before anything new is planned
"""
