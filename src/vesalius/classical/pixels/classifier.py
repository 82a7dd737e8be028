"""Train on scribbles, classify every voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.pixels.features import Family, Features, Scaling, feature_slabs
from vesalius.classical.pixels.models import MODELS, Model, ModelName, SupportVectors, learn
from vesalius.classical.pixels.trees import Trees
from vesalius.classical.seeds import seed_values, without_background
from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Labels, Volume

_SCALES = (0.7, 1.6, 3.5, 5.0)  # times the finest spacing: every other of ilastik's, and its largest but one


@dataclass(frozen=True, eq=False)
class PixelClassifier:
    """What was learnt from scribbles.

    Args:
        features: What it looks at.
        ndim: Of the images, 2 or 3.
        channels: Of the images.
        labels: What it tells apart, in the order of the model's outputs; ``"background"`` becomes 0.
        name: The kind of model.
        model: The model.
        importances: By feature, in the order of `Features.names`.
        provenance: Images, marked voxels, seed, versions; plain JSON values.

    Raises:
        DataError: The parts do not fit together.
    """

    features: Features
    ndim: int
    channels: int
    labels: Labels
    name: ModelName
    model: Model
    importances: Mapping[str, float]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in MODELS:
            raise VesaliusError(unknown_name("model", self.name, MODELS))
        if self.ndim not in (2, 3) or self.channels < 1:
            raise DataError(f"images have 2 or 3 axes and a channel or more, not {self.ndim} and {self.channels}")
        outputs = self.model.base.shape if isinstance(self.model, Trees) else self.model.bias.shape
        names = self.features.names(self.ndim, self.channels)
        if outputs != (len(self.labels.labels),) or tuple(self.importances) != names:
            raise DataError("the model does not fit the labels or the features")
        if isinstance(self.model, Trees) == (self.name == "svm"):
            raise DataError(f"the model is no {self.name}")

    def classify(self, image: Volume) -> LabelMap:
        """Give every voxel the class that its neighbourhood looks most like.

        Args:
            image: With as many axes and channels as those it was trained on. Another spacing is as good: scales are
                in mm.

        Returns:
            The labels on the image's grid; what was marked as ``"background"`` is 0.

        Raises:
            DataError: Another number of axes or channels.
        """
        values = np.asarray(self.labels.values, np.uint16)
        made = np.empty(image.grid.shape, np.uint16)
        for rows, scores in self._scores(image):
            made[rows] = values[scores.argmax(axis=-1)]
        return without_background(made, LabelMap(made, image.grid, self.labels))

    def probabilities(self, image: Volume) -> Volume:
        """How likely each class is, as the model has it: not calibrated.

        Args:
            image: As for `classify`.

        Returns:
            One channel for each label, in their order; they sum to 1.

        Raises:
            DataError: As for `classify`, or the model is support vectors, which know no probabilities.
        """
        if isinstance(self.model, SupportVectors):
            raise DataError("support vectors say on which side of a border a voxel is, not how likely; train a forest")
        made = np.empty((len(self.labels.labels), *image.grid.shape), np.float32)
        for rows, scores in self._scores(image):
            if self.name == "gradient-boosting":
                scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            shares = scores / scores.sum(axis=-1, keepdims=True)
            made[:, rows] = np.moveaxis(shares, -1, 0)
        return Volume(made, image.grid, image.meta)

    def _scores(self, image: Volume) -> Any:
        if (image.grid.ndim, image.channels) != (self.ndim, self.channels):
            raise DataError(
                f"this classifier was trained on {self.ndim}D images of {self.channels} channels; this one is "
                f"{image.grid.ndim}D with {image.channels}"
            )
        for rows, values in feature_slabs(image, self.features):
            flat = values.reshape(len(values), -1)
            found = self.model.sum(flat) if isinstance(self.model, Trees) else self.model.scores(flat)
            yield rows, found.reshape(*values.shape[1:], -1)


def train_pixels(
    images: Sequence[Volume],
    scribbles: Sequence[LabelMap],
    *,
    model: ModelName = "random-forest",
    scales_mm: tuple[float, ...] | None = None,
    families: tuple[Family, ...] = ("intensity", "edge", "texture", "shape"),
    scaling: Scaling | None = None,
    trees: int = 100,
    most_voxels: int = 20_000,
    seed: int = 0,
) -> PixelClassifier:
    """Learn to tell classes apart from a few marked voxels of a few images.

    Args:
        images: All of as many axes and channels.
        scribbles: One for each image, on its grid: 0 where nothing is said. All declare the same labels; one called
            ``"background"`` marks what is nothing.
        model: See `vesalius.classical.pixels.models.learn`.
        scales_mm: Standard deviations at which voxels are looked at, mm; 0.7, 1.6, 3.5 and 5 times the first image's
            finest spacing when left out.
        families: Kinds of features; see `Features`.
        scaling: Of values; ``"none"`` for CT and ``"z_score"`` for anything else when left out.
        trees: How many, for the forest and for boosting.
        most_voxels: Marked voxels of each class that are learnt from at most; drawn if there are more.
        seed: Of all chance.

    Returns:
        The classifier. The same images, scribbles and seed give the same.

    Raises:
        DataError: Images differ in axes or channels, scribbles in labels, nothing or only one class is marked.
        GeometryError: Scribbles lie on another grid than their image.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> picture = Volume(np.repeat([0.0, 9.0], 32).reshape(1, 8, 8), Grid.from_spacing((8, 8), (1.0, 1.0)))
        >>> marked = np.zeros((8, 8), np.uint8)
        >>> marked[1], marked[6] = 1, 2
        >>> scribbles = LabelMap(marked, picture.grid, Labels.of({"background": 1, "cell": 2}))
        >>> train_pixels([picture], [scribbles], trees=10).classify(picture).counts()
        {0: 32, 2: 32}

    Source: Berg et al., Nature Methods 16:1226 (2019), doi:10.1038/s41592-019-0582-9.
    """
    if model not in MODELS:
        raise VesaliusError(unknown_name("model", model, MODELS))
    _check(images, scribbles, most_voxels)
    first, labels = images[0], scribbles[0].labels
    scales = scales_mm or tuple(float(f"{s * min(first.grid.spacing_mm):.3g}") for s in _SCALES)
    chosen = Features(scales, tuple(families), scaling or ("none" if first.meta.modality == "CT" else "z_score"))
    found: dict[int, list[NDArray[np.float32]]] = {value: [] for value in labels.values}
    for image, marks in zip(images, scribbles, strict=True):
        for value, rows in _marked(image, marks, chosen):
            found[value].append(rows)
    counts = {label.name: sum(map(len, found[label.value])) for label in labels.labels}
    for name, count in counts.items():
        if not count:
            raise DataError(f"nothing is marked as {name!r}: mark some of it, or leave the label out")
    rng = np.random.default_rng(seed)
    drawn = [_drawn(np.concatenate(rows), most_voxels, rng) for rows in found.values()]
    classes = np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])
    learnt = learn(model, np.concatenate(drawn), classes, trees=trees, seed=seed)
    names = chosen.names(first.grid.ndim, first.channels)
    return PixelClassifier(
        features=chosen,
        ndim=first.grid.ndim,
        channels=first.channels,
        labels=labels,
        name=model,
        model=learnt.model,
        importances=dict(zip(names, map(float, learnt.importances), strict=True)),
        provenance={"images": len(images), "marked": counts, "used": [len(rows) for rows in drawn], "seed": seed},
    )


def _check(images: Sequence[Volume], scribbles: Sequence[LabelMap], most_voxels: int) -> None:
    if not images or len(images) != len(scribbles):
        raise DataError(f"one image or more, each with its scribbles: not {len(images)} with {len(scribbles)}")
    if most_voxels < 1:
        raise DataError(f"most_voxels must be a positive number, not {most_voxels}")
    for image, marks in zip(images, scribbles, strict=True):
        if (image.grid.ndim, image.channels) != (images[0].grid.ndim, images[0].channels):
            raise DataError("the images must have as many axes and channels as each other")
        if marks.labels.labels != scribbles[0].labels.labels:
            raise DataError("the scribbles must declare the same labels, in the same order")
        seed_values(image.grid, marks)


def _marked(image: Volume, marks: LabelMap, features: Features) -> Any:
    """The features of marked voxels: ``(value, (n, f))``, piece by piece."""
    for rows, values in feature_slabs(image, features):
        said = marks.array[rows]
        for value in marks.labels.values:
            where = said == value
            if where.any():
                yield value, np.ascontiguousarray(values[:, where].T)


def _drawn(rows: NDArray[np.float32], most: int, rng: np.random.Generator) -> NDArray[np.float32]:
    if len(rows) <= most:
        return rows
    return rows[np.sort(rng.choice(len(rows), most, replace=False))]
