"""Probes: simple regressions from frozen vectors to labels, judged on systems they have not seen.

Definition: the systems are split into folds, whole groups at a time (`folds`). For each fold the
    other folds choose a penalty or a number of neighbors by leaving out one of themselves in turn
    (nested cross-validation: Varma and Simon, BMC Bioinformatics 7, 91 (2006)), the probe is fitted
    to all of them, and predicts the fold. So each system is predicted once, from systems of other
    groups.
Probes: ridge regression (`ridge`), logistic regression (`logistic`), the mean over the k nearest
    systems (`neighbors`).
Scores: R² or the area under the ROC curve, with intervals from resampled groups (`scores`).
"""
