"""Work on a store that several processes share: `running` gives tasks, `agenda` says to whom.

Nothing is imported here, so that a process that is started chooses what it imports.
"""
