"""The sections of the page, in their order.

Each has a question, its figures, and a paragraph on how to read them and what they cannot tell.
"""

from __future__ import annotations

from query import figures
from query.report.labeled import per_property, per_reference
from query.report.node_versions import per_nodes
from query.report.versions import (
    QUICK,
    per_color,
    per_dataset,
    per_dataset_or_pair,
    per_dataset_pair,
    per_layered,
    per_layered_pair,
    per_metric,
    per_score,
)
from query.report.views import Panel, Section

SECTIONS = (
    Section(
        "control_alignment",
        "Can the numbers below be believed?",
        "Controls are artificial models for which the answer is known. Vectors that were rotated "
        "or scaled must give the same value as the original vectors with themselves. Shuffled or "
        "random vectors must give a value that chance explains. Constant vectors must give none. "
        "If a control does not hold, something in the pipeline is probably wrong, and then no "
        "other figure means anything. A value just beyond the limit of p may be chance: the limit "
        "is such that one of all checks of a dataset fails in 5 % of cases where all is well. If "
        "all controls hold, this does not show that each model was run as its authors intended.",
        [Panel("control_alignment", figures.control_alignment, per_dataset())],
    ),
    Section(
        "alignment_matrix",
        "How alike do models see the same matter?",
        "Each cell compares two models by their vectors of the same systems. The models are in "
        "the order of their tree, so that similar models are neighbors. A high value says that "
        "two models arrange the systems alike; it does not say that either of them is right. "
        "Values of different metrics, or at different n or k, cannot be compared. Colors span the "
        "values of one figure, without its gray diagonal, of models with themselves. Point at a "
        "cell to see its value, the value by chance, and the calibrated value, which is 0 if 5 % "
        "of random pairings of the systems agree as well, and 1 at full agreement.",
        [Panel("alignment_matrix", figures.alignment_matrix, per_metric)],
    ),
    Section(
        "model_tree",
        "Which models belong together?",
        "This is a neighbor-joining tree. The distance of two models is the square root of the "
        "Jensen-Shannon divergence of their CKNNA profiles. A profile is a model's CKNNA with each "
        "of the models, scaled to a sum of 1, so models are close if they align alike with all "
        "others. Only lengths along the branches have a meaning; the order from "
        "top to bottom has none. A tree always shows groups, even where there are none: check "
        "them in the matrix above. The CSV file has the tree in Newick format.",
        [
            Panel(
                "model_tree", figures.model_tree, per_dataset(color=("family", "input", "training"))
            )
        ],
    ),
    Section(
        "convergence",
        "Do better models see matter more like the best one?",
        "The figure shows each model's alignment with a reference model against the model's "
        "error. The reference is the best model unless the figure names another one. If models "
        "converge as they get better, alignment falls as the error grows. Models of the "
        "reference's own family tend to be both similar to it and good, for one and the same "
        "reason, so a second panel leaves them out, if enough others are left. A correlation "
        "over a handful of models is weak evidence, and over fewer than five it is none, so that "
        "it has no interval. A dataset is not among the choices if fewer than four of its models "
        "have a known error; only potentials have errors of energies, and only where there are "
        "labels that no model predicted.",
        [Panel("convergence", figures.convergence, per_score)],
    ),
    Section(
        "alignment_across_datasets",
        "Do models agree inside and outside of what they were trained on?",
        "Each point is a pair of models. Its position across is their alignment on one dataset, "
        "its position up is their alignment on another. Both are computed for the same number of "
        "systems, because values depend on it. Pairs below the diagonal agree less on the second "
        "dataset. A store cannot know which dataset is out of distribution for which model; you "
        "have to judge this.",
        [Panel("alignment_across_datasets", figures.alignment_across_datasets, per_dataset_pair)],
    ),
    Section(
        "information_imbalance_plane",
        "Does one model know what another knows?",
        "Information imbalance measures how far the nearest neighbors in one model's vectors are "
        "neighbors in another's. Two models near (0, 0) hold the same information; two near "
        "(1, 1) have nothing in common. The nearer a pair is to the upper left corner, the more "
        "does a hold of what b holds, and b not of what a holds; the lower right corner is the "
        "reverse. Far from all corners, each holds a part of the other. The measure looks at "
        "nearest neighbors only, so noise at short distances hides what two models share at long "
        "distances.",
        [
            Panel(
                "information_imbalance_plane",
                figures.information_imbalance_plane,
                per_dataset_or_pair,
            )
        ],
    ),
    Section(
        "layer_alignment",
        "Where in depth do models agree?",
        "Each cell compares a layer of one model with a layer of another, from the embedding of "
        "the input to the last layer. The frame marks the pair of layers that is the most alike. "
        "Of many pairs some stand out by chance, so its p-value is that of the best pair: how "
        "often the best of all pairs is as much alike once the systems of one model are "
        "shuffled. Layers of one model are much alike, so that neighboring cells are no "
        "independent evidence. The first ten pairs of models whose layers are in the store are "
        "shown, by name; `--representation layers` adds layers.",
        [Panel("layer_alignment", figures.layer_alignment, per_layered_pair)],
    ),
    Section(
        "depth_profile",
        "What becomes of the vectors along the depth of a model?",
        "A line is a model, dashed if it is untrained, and a point is one of its layers, from the "
        "embedding of the input at 0 to the last layer at 1. The first panel shows how alike the "
        "layer and a reference see the systems. With the model itself as the reference it ends "
        "at 1, and how late it gets there says how much the last layers add. With a descriptor "
        "as the reference it shows where in depth the model knows no more than that. The second "
        "panel shows in how many directions the vectors vary. If an untrained twin runs along "
        "its model, the architecture explains the curve, not training. Layers at equal depth in "
        "two models do not correspond in any other way.",
        [Panel("depth_profile", figures.depth_profile, per_layered)],
    ),
    Section(
        "node_alignment",
        "Do models agree on atoms and residues, and on which?",
        "Here atoms of one element, or residues of one kind, are compared in place of whole "
        "systems: one of each system, drawn at random, with k = 5. By chance, "
        "systems change places. Values of kinds with different n cannot be compared: they fall, "
        "and chance falls, as n grows. So look first at which are beyond chance, and take an order "
        "of kinds for real only where n is alike. The first three pairs of models whose nodes are "
        "in the store are shown, by name; `--nodes` adds nodes.",
        [Panel("node_alignment", figures.node_alignment, per_nodes)],
    ),
    Section(
        "dimensions",
        "In how many directions do the vectors vary?",
        "The intrinsic dimension is the number of directions in which vectors vary locally, "
        "however many numbers each vector has. Lines are intervals from random subsets of the "
        "systems. Estimates grow with n and with noise, so compare models on one dataset only. A "
        "low dimension can mean a good summary or a poor one. The untrained twin in the same row "
        "tells how much of it comes from the architecture.",
        [Panel("dimensions", figures.dimensions, per_dataset())],
    ),
    Section(
        "kinship",
        "What explains alignment: family, training data, or neither?",
        "Each point is a pair of models. Same-family pairs share architecture and code. Other "
        "pairs may share training data, under the same or another name, or data from the same "
        "source. The remaining pairs share neither. All are compared over the systems that all "
        "trained models have, unless these are less than half of what one has. The p-values come "
        "from shuffling the labels of models, not of pairs, because pairs that have a model in "
        "common are not independent. With few models, even a large difference cannot reach a "
        "small p-value.",
        [Panel("kinship", figures.kinship, per_dataset())],
    ),
    Section(
        "alignment_curve",
        "How do values depend on the number of systems and on k?",
        "The figure shows the most and the least similar cross-family pair, at growing numbers "
        "of systems and of neighbors, with the value that chance gives there. Values at "
        "different n or k cannot be compared. Rings are points with a warning, for which the small "
        "print has the reasons. If a line is not level at its right end, more "
        "systems would change the value.",
        [Panel("alignment_curve", figures.alignment_curve, per_dataset(metric=QUICK))],
    ),
    Section(
        "training_effect",
        "What did training add?",
        "An untrained twin is the same network with random weights. Each point is a pair of "
        "models. Its position across is the alignment of their twins, its position up is their "
        "own. On the diagonal, training made the two neither more nor less alike. Above it, "
        "training brought them together; below it, training set them apart. Dotted lines are "
        "the lowest and the highest value by chance. Where models have several twins, a line goes "
        "from the lowest to the highest value of their pairs. Where a relation has three pairs "
        "with twins or more, a second panel shows how these differences are distributed over "
        "them.",
        [Panel("training_effect", figures.training_effect, per_dataset())],
    ),
    Section(
        "energy_errors",
        "Do potentials agree on energies, once composition is taken out?",
        "Potentials differ in their zero of energy. Therefore a linear model of the composition "
        "is fitted to the labels and to each model's predictions, and what is left of both is "
        "compared (equations 1 to 4 of arXiv 2512.03750). Models are in the order of their mean "
        "errors per atom. One system can make most of a mean, and then the small print names it; "
        "medians do not depend on it, so do not trust an order of means that they reverse. Where "
        "there are no labels, the others are compared with the model that they differ from the "
        "least, and nothing says that it is right. The figure does not show what the fit takes "
        "out, and the fit takes out more if there are few systems for each element.",
        [Panel("energy_errors", figures.energy_errors, per_dataset())],
    ),
    Section(
        "probe",
        "What can be read from the vectors?",
        "Ridge regression from each model's frozen vectors to a label of the systems (logistic "
        "regression if the label has two values), judged on systems that it has not seen. R² is 0 "
        "for the mean label and 1 if all are right; an AUC of 0.5 is chance. The value means "
        "nothing without the baselines below it and the untrained twin in the same row: what "
        "these reach needs no training. Intervals are over systems of this dataset. Systems "
        "that are the same are in one fold, those that are only alike need not be; `probe(…, "
        "groups := 'formula')` keeps isomers and polymorphs together, too. A low value does "
        "not say that the vectors do not hold the label, only that a linear function of them does "
        "not tell it from so many systems.",
        [Panel("probe", figures.probe, per_property)],
    ),
    Section(
        "novelty",
        "What is novel beside another dataset?",
        "Each system is judged by its distance to its tenth nearest neighbor in a reference "
        "dataset, as one model sees both. Its p is the share of the reference's own systems that "
        "are at least as far from the rest. Of systems like those of the reference, 5 % have p of "
        "at most 0.05 (dotted), and the distribution of p is the diagonal; above it, systems are "
        "more novel, below it, they lie closer together than the reference itself does. "
        "Novel to a model is not the same as novel: a model that sees little finds little new.",
        [Panel("novelty", figures.novelty, per_reference)],
    ),
    Section(
        "novelty_errors",
        "Do models err more on what is novel to them?",
        "The rank correlation of a model's error per atom (composition taken out, as above) with "
        "the distance of a system from the reference, as this model sees it. Right of the dotted "
        "line, the model errs more where it sees something new, so that its own vectors warn of "
        "its errors; left of it, it errs less there. The correlation is over systems that are "
        "alike in other ways, too, such as size; it does not say that novelty is the cause.",
        [Panel("novelty_errors", figures.novelty_errors, per_reference)],
    ),
    Section(
        "exposure",
        "Were the models trained on these systems?",
        "What public records say of each model's training sets and of this dataset: that it was "
        "trained on the set that the dataset is taken from, on one with a source in common, or on "
        "a set from which this part was held out. Sets of the same kind of matter that nobody has "
        "compared with the dataset may overlap with it, too; only other kinds of data, such as "
        "text, cannot. Where nobody has said what a model was trained on, or where the dataset "
        "comes from, the answer is unknown, never no. Point at a mark for the reason and its "
        "source. Names of sets are compared, not systems: an overlap need not hold any of these "
        "systems.",
        [Panel("exposure", figures.exposure, per_dataset())],
    ),
    Section(
        "system_map",
        "What does one model see?",
        "Each point is a system, placed by one model's vectors: systems that lie together are "
        "alike to this model. Where those of one color stand apart from the others, the model "
        "tells them apart; where colors mix, two axes may not show what it tells. Principal "
        "components preserve distances as well as two axes can. UMAP preserves neighbors, while "
        "its distances, densities and gaps mean little. UMAP is slow, so the page has it of the "
        "first model only: `matterzoo query system_map DATASET model=MODEL method=umap` computes "
        "it of another.",
        [Panel("system_map", figures.system_map, per_color)],
    ),
)
