"""How much of a dataset a small tree ensemble can learn: the optional filter of a prior."""

import numpy as np


def out_of_bag_score(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> float:
    """Out-of-bag score of 25 extremely randomized trees of depth 6 on all rows.

    Args:
        x: (R, F); missing cells count as 0.
        y: (R,) classes as integers, or real values.

    Returns:
        For classes the ROC AUC, one class against the rest in the mean: 0.5 is chance, 1 is trivial. For real
        values R2.

    References:
        Qu et al., TabICLv2, 2026 (extra-trees filter of datasets that cannot be learned).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x, chance = rng.normal(size=(100, 3)), rng.integers(0, 2, 100)
        >>> out_of_bag_score(x, (x[:, 0] > 0).astype(int), rng) > 0.9 > out_of_bag_score(x, chance, rng)
        True
    """
    # scikit-learn takes half a second to import, and most priors do not need it.
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.metrics import r2_score, roc_auc_score

    settings = {
        "n_estimators": 25,
        "max_depth": 6,
        "bootstrap": True,
        "random_state": int(rng.integers(2**31)),
    }
    x = np.nan_to_num(x)
    rows = np.arange(len(y))
    is_classification = np.issubdtype(y.dtype, np.integer)
    forest = (ExtraTreesClassifier if is_classification else ExtraTreesRegressor)(**settings).fit(x, y)
    votes, predicted = np.zeros(len(y)), 0
    for tree, in_bag in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        out = np.setdiff1d(rows, in_bag, assume_unique=False)
        leaf = tree.predict_proba(x[out]) if is_classification else tree.predict(x[out])
        if np.isscalar(predicted):
            predicted = np.zeros((len(y), *leaf.shape[1:]))
        predicted[out] += leaf
        votes[out] += 1
    voted = votes > 0
    mean = predicted[voted] / votes[voted].reshape(-1, *[1] * (predicted.ndim - 1))
    if not is_classification:
        return float(r2_score(y[voted], mean))
    is_label = y[voted, None] == forest.classes_  # (voted rows, K)
    present = [k for k, share in enumerate(is_label.mean(axis=0)) if 0 < share < 1]
    return float(np.mean([roc_auc_score(is_label[:, k], mean[:, k]) for k in present]))
