"""What is learnt from the features of marked voxels: forest, tree, boosting, support vectors, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.extra import needed
from vesalius.classical.pixels.trees import Trees, trees_of
from vesalius.errors import DataError

ModelName = Literal["random-forest", "decision-tree", "gradient-boosting", "svm"]
"""Kinds of models; see `learn`."""

MODELS: tuple[ModelName, ...] = get_args(ModelName)

_MOST_VECTORS = 2_000  # marked voxels that support vectors are sought among: their kernel grows with the square


@dataclass(frozen=True, eq=False)
class SupportVectors:
    """One against the rest for each class, with a Gaussian kernel on standardised features.

    Args:
        vectors: ``(v, f)``, standardised.
        weights: ``(v, classes)``, what each vector says about each class.
        bias: ``(classes,)``.
        gamma: Of the kernel ``exp(-gamma * squared distance)``, > 0.
        mean: ``(f,)``, what is subtracted from each feature.
        std: ``(f,)``, what it is divided by, > 0.

    Raises:
        DataError: Sizes do not fit together, or a number that must be positive is not.
    """

    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    gamma: float
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __post_init__(self) -> None:
        v, f = self.vectors.shape
        if self.weights.shape != (v, *self.bias.shape) or self.mean.shape != (f,) or self.std.shape != (f,):
            raise DataError("the arrays of the support vectors do not fit together")
        if not self.gamma > 0 or not (self.std > 0).all():
            raise DataError("gamma and the standard deviations of the support vectors must be positive")

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far on a class's side of its border each voxel is; 0 on the border.

        Args:
            features: One column a voxel.

        Raises:
            DataError: Another number of features.
        """
        if len(features) != len(self.mean):
            raise DataError(f"the support vectors know {len(self.mean)} features, not {len(features)}")
        scaled = ((features.T - self.mean) / self.std).astype(np.float32)
        made = np.empty((len(scaled), len(self.bias)), np.float32)
        own = (self.vectors**2).sum(axis=1)
        for start in range(0, len(scaled), 1 << 13):
            some = scaled[start : start + (1 << 13)]
            apart = np.maximum((some**2).sum(axis=1)[:, None] + own - 2 * some @ self.vectors.T, 0)
            made[start : start + len(some)] = np.exp(-np.float32(self.gamma) * apart) @ self.weights + self.bias
        return made


Model = Trees | SupportVectors


@dataclass(frozen=True, eq=False)
class Learnt:
    """What came of learning.

    Args:
        model: The model.
        importances: ``(f,)``, each feature's share of what all explain, ≥ 0; they sum to 1, or are all 0.
    """

    model: Model
    importances: NDArray[np.float64]


def learn(
    name: ModelName,
    features: NDArray[np.float32],
    classes: NDArray[Any],
    *,
    trees: int = 100,
    seed: int = 0,
) -> Learnt:
    """Learn to tell classes from features.

    Classes count alike, however many voxels of each are marked.

    Args:
        name: ``"random-forest"``; ``"decision-tree"``, one tree with leaves of 5 voxels or more, which a person can
            read; ``"gradient-boosting"``, trees of depth 3 that correct one another; ``"svm"``, with a Gaussian kernel.
        features: One row a marked voxel.
        classes: Numbers from 0, each occurring.
        trees: How many, for the forest and for boosting; a positive number.
        seed: Of all chance.

    Returns:
        The model, and how much each feature matters: by impurity for trees; for support vectors by permutation, how
        much nearer to the border marked voxels come once the feature is shuffled.

    Raises:
        DataError: There is only one class, or ``trees`` is not positive.
        MissingDependencyError: scikit-learn is not installed.

    Source: Breiman, Machine Learning 45:5 (2001), doi:10.1023/A:1010933404324; Friedman, Annals of Statistics 29:1189
    (2001), doi:10.1214/aos/1013203451; Cortes and Vapnik, Machine Learning 20:273 (1995), doi:10.1007/BF00994018.
    """
    if len(np.unique(classes)) < 2:
        raise DataError("mark voxels of at least two classes, of which one may be 'background'")
    if trees < 1:
        raise DataError(f"trees must be a positive number, not {trees}")
    return _LEARN[name](features, classes, trees, seed)


def _forest(features: NDArray[np.float32], classes: NDArray[Any], trees: int, seed: int) -> Learnt:
    forest = needed("sklearn.ensemble").RandomForestClassifier(
        trees, class_weight="balanced", min_samples_leaf=2, max_features="sqrt", random_state=seed, n_jobs=1
    )
    forest.fit(features, classes)
    grown = [tree.tree_ for tree in forest.estimators_]
    values = [_shares(tree) / len(grown) for tree in grown]
    base = np.zeros(forest.n_classes_)
    return Learnt(trees_of(grown, [None] * len(grown), values, base), forest.feature_importances_)


def _tree(features: NDArray[np.float32], classes: NDArray[Any], _trees: int, seed: int) -> Learnt:
    tree = needed("sklearn.tree").DecisionTreeClassifier(class_weight="balanced", min_samples_leaf=5, random_state=seed)
    tree.fit(features, classes)
    made = trees_of([tree.tree_], [None], [_shares(tree.tree_)], np.zeros(tree.n_classes_))
    return Learnt(made, tree.feature_importances_)


def _boosting(features: NDArray[np.float32], classes: NDArray[Any], trees: int, seed: int) -> Learnt:
    boosting = needed("sklearn.ensemble").GradientBoostingClassifier(
        n_estimators=trees, max_depth=3, subsample=0.5, max_features="sqrt", random_state=seed
    )
    counts = np.bincount(classes)
    boosting.fit(features, classes, sample_weight=len(classes) / (len(counts) * counts[classes]))
    stages = boosting.estimators_  # (stages, outputs); of two classes, one output for the second
    outputs = [k if len(counts) > 2 else 1 for _ in stages for k in range(stages.shape[1])]
    grown = [one.tree_ for stage in stages for one in stage]
    values = [boosting.learning_rate * tree.value[:, 0, :1] for tree in grown]
    without = trees_of(grown, outputs, values, np.zeros(len(counts)))
    # What boosting began with is what its first score holds beyond the leaves.
    first = np.atleast_1d(boosting.decision_function(features[:1])[0])
    first = first if len(counts) > 2 else np.asarray([0.0, first[0]])
    base = first - without.sum(np.ascontiguousarray(features[:1].T))[0]
    return Learnt(trees_of(grown, outputs, values, base), boosting.feature_importances_)


def _support_vectors(features: NDArray[np.float32], classes: NDArray[Any], _trees: int, seed: int) -> Learnt:
    rng = np.random.default_rng(seed)
    each = max(1, _MOST_VECTORS // (int(classes.max()) + 1))
    groups = (np.flatnonzero(classes == c) for c in range(int(classes.max()) + 1))
    chosen = np.sort(np.concatenate([rng.permutation(group)[:each] for group in groups]))
    some, said = features[chosen], classes[chosen]
    mean, std = some.mean(axis=0), some.std(axis=0)
    std = np.where(std > 0, std, 1).astype(np.float32)
    scaled = (some - mean) / std
    gamma = 1 / max(float(scaled.var()) * scaled.shape[1], 1e-12)  # scikit-learn's "scale"
    weights = np.zeros((len(scaled), int(classes.max()) + 1))
    bias = np.zeros(weights.shape[1])
    for c in range(weights.shape[1]):
        one = needed("sklearn.svm").SVC(kernel="rbf", gamma=gamma, class_weight="balanced", random_state=seed)
        one.fit(scaled, said == c)
        weights[one.support_, c] = one.dual_coef_[0]
        bias[c] = one.intercept_[0]
    used = (weights != 0).any(axis=1)
    model = SupportVectors(
        scaled[used].astype(np.float32),
        weights[used].astype(np.float32),
        bias.astype(np.float32),
        gamma,
        mean.astype(np.float32),
        std,
    )
    return Learnt(model, _permuted(model, some, said, rng))


def _permuted(
    model: SupportVectors, features: NDArray[np.float32], classes: NDArray[Any], rng: np.random.Generator
) -> NDArray[np.float64]:
    """How much nearer to the border voxels come once a feature is shuffled; they sum to 1."""

    def right(columns: NDArray[np.float32]) -> float:
        scores = model.scores(columns)
        own = np.take_along_axis(scores, classes[:, None], axis=1)
        np.put_along_axis(scores, classes[:, None], -np.inf, axis=1)
        return float((own[:, 0] - scores.max(axis=1)).mean())

    columns = np.ascontiguousarray(features.T)
    whole = right(columns)
    lost = np.zeros(len(columns))
    for number in range(len(columns)):
        kept = columns[number].copy()
        columns[number] = rng.permutation(kept)
        lost[number] = max(0.0, whole - right(columns))
        columns[number] = kept
    made: NDArray[np.float64] = lost / max(lost.sum(), 1e-12)
    return made


def _shares(tree: Any) -> NDArray[np.float64]:
    """``(nodes, classes)``: share of the (weighted) voxels of each class."""
    value = tree.value[:, 0, :]
    made: NDArray[np.float64] = value / value.sum(axis=1, keepdims=True)
    return made


_LEARN: Mapping[ModelName, Callable[[NDArray[np.float32], NDArray[Any], int, int], Learnt]] = {
    "random-forest": _forest,
    "decision-tree": _tree,
    "gradient-boosting": _boosting,
    "svm": _support_vectors,
}
