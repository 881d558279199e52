"""The parts of a dataset that runs compute.

cut      where a dataset is cut
begun    runs that have begun and are continued before anything new is planned
"""
