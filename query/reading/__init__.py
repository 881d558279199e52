"""The store's models, vectors, labels and training sets, and the cache of neighbor lists."""
