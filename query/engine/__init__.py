"""What metrics build on: normalized vectors, neighbor lists, sums over all pairs of systems.

comparison        models over the same systems, and all that is found about them: begin here
compared_models   their vectors, read and normalized when they are first needed
normalization     vectors checked and scaled; resolution: what their precision can tell apart
neighbors/        neighbor lists, with all systems that tie
pairings          what two models' lists share, for any pairing of the systems
model_sums        sums over all pairs of systems, each kind found once
sums              the one pass over the pairs; tiles, tile_operations: how they are cut and used
subsets           values on subsets of the systems
kernels/          compiled inner loops
protocols         what a comparison asks of metrics, and of whoever shows the progress
devices, threads, suggestions, undefined
"""
