"""Work on a store that several processes share.

`running` gives tasks to this process and to its `helpers`, in the order of an `agenda`; `helping`
is what a helper does. Nothing is imported here, so that a helper chooses what it imports.
"""
