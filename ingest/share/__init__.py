"""Sharing vectors: through a hub, run by run, or as one file that holds a whole store.

- `record`: what is published about a run, and where its file lies in the repository
- `repository`: the commits and the index of a repository
- `offer`: what a repository has at one commit
- `permission`: what may be published, by license and by card
- `staging`: a published file becomes the folder of a finished run, checked as one's own
- `fetch`: published vectors go into the store
- `vector_file`: the rows of a run, written to a file that is published
- `datacard`: the README of a repository
- `publish`: finished runs go to a repository
- `exported`: the form of an exported store, one DuckDB file
- `export`: a store goes to such a file
- `export_systems`: the systems of a dataset go to a file that other programs read
- `contradictions`: what such a file and a store may have against each other
- `import_exported`: such a file goes into a store
- `several_models`: both, for models as a user names them
"""
