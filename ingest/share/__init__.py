"""Sharing vectors: runs are published as a dataset of a hub, and fetched from there into a store.

- `record`: what is published about a run, and where its file lies in the repository
- `repository`: the commits and the index of a repository
- `offer`: what a repository has at one commit
- `local_model`: the card of a model, if this zoo has one
- `staging`: a published file becomes the folder of a finished run, checked as one's own
- `fetch`: published vectors go into the store
- `permission`: what may be published, by license and by card
- `vector_file`: the rows of a run, written to a file that is published
- `datacard`: the README of a repository
- `publish`: finished runs go to a repository
- `several_models`: both, for models as a user names them
"""
