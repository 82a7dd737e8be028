"""What is cleaned away from a segmentation, step by step, as a value that can be stored with a segmenter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import LabelMap
from vesalius.transform.components import keep_largest, remove_small

SizeUnit = Literal["ml", "mm2", "voxels"]
"""Of a piece: millilitres (3D), mm² (2D), or voxels where they have no size in space."""


@dataclass(frozen=True, kw_only=True)
class KeepLargest:
    """Of a structure, only the largest connected piece stays.

    Args:
        name: The label or region; all labels together when left out.
    """

    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class RemoveSmall:
    """Of a structure, connected pieces below a size go.

    Args:
        least: Size of the smallest piece that stays, > 0.
        unit: Of the size.
        name: The label or region; all labels together when left out.

    Raises:
        VesaliusError: The size is not a positive number, or the unit is unknown.
    """

    least: float
    unit: SizeUnit = "ml"
    name: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.least) and self.least > 0):
            raise VesaliusError(f"the least size of a piece must be positive, not {self.least}")
        if self.unit not in get_args(SizeUnit):
            raise VesaliusError(unknown_name("unit of size", str(self.unit), get_args(SizeUnit)))


Step = KeepLargest | RemoveSmall
_STEPS: dict[str, type[KeepLargest] | type[RemoveSmall]] = {"keep_largest": KeepLargest, "remove_small": RemoveSmall}


@dataclass(frozen=True)
class Postprocessing:
    """The clean-up that belongs to a segmenter. Choose it on cases that the segmenter was not trained on.

    Args:
        steps: In the order in which they are taken; none is no clean-up.

    Example:
        >>> how = Postprocessing((KeepLargest(name="liver"), RemoveSmall(least=0.05, name="tumour")))
        >>> how.words
        ('keep the largest piece of liver', 'remove pieces of tumour below 0.05 ml')

    Source: nnU-Net's ``postprocessing/remove_connected_components.py``: steps that raise the Dice out of fold.
    """

    steps: tuple[Step, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """A sentence a step."""
        return tuple(_words(step) for step in self.steps)

    @property
    def names(self) -> frozenset[str]:
        """The labels and regions that the steps name."""
        return frozenset(step.name for step in self.steps if step.name is not None)


def postprocess(labelmap: LabelMap, how: Postprocessing) -> LabelMap:
    """Clean a segmentation.

    Args:
        labelmap: The segmentation; an empty one stays empty.
        how: The steps.

    Returns:
        The segmentation after all steps, on the same grid; voxels that go become background.

    Raises:
        DataError: A step names no known label or region.
        GeometryError: A step's unit does not suit the number of dimensions.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid, Labels
        >>> array = np.array([[1, 0, 1], [1, 0, 0]])
        >>> labelmap = LabelMap(array, Grid.from_spacing((2, 3), (1.0, 1.0)), Labels.of({"lesion": 1}))
        >>> postprocess(labelmap, Postprocessing((RemoveSmall(least=2, unit="voxels"),))).array.tolist()
        [[1, 0, 0], [1, 0, 0]]
    """
    for step in how.steps:
        names = None if step.name is None else (step.name,)
        match step:
            case KeepLargest():
                labelmap = keep_largest(labelmap, names=names)
            case RemoveSmall(least=least, unit="voxels"):
                size = least * labelmap.grid.voxel_volume_mm3
                if labelmap.grid.ndim == 2:
                    labelmap = remove_small(labelmap, min_area_mm2=size, names=names)
                else:
                    labelmap = remove_small(labelmap, size / 1000, names=names)
            case RemoveSmall(least=least, unit="ml"):
                labelmap = remove_small(labelmap, least, names=names)
            case RemoveSmall(least=least):
                labelmap = remove_small(labelmap, min_area_mm2=least, names=names)
    return labelmap


def postprocessing_to_json(how: Postprocessing) -> list[dict[str, Any]]:
    """The steps as plain values.

    Example:
        >>> postprocessing_to_json(Postprocessing((KeepLargest(),)))
        [{'step': 'keep_largest', 'name': None}]
    """
    called = {kind: name for name, kind in _STEPS.items()}
    return [{"step": called[type(step)], **step.__dict__} for step in how.steps]


def postprocessing_from_json(raw: Any) -> Postprocessing:
    """The steps that `postprocessing_to_json` wrote.

    Raises:
        DataError: The values are not steps.
    """
    if not isinstance(raw, list):
        raise DataError("post-processing must be a list of steps")
    return Postprocessing(tuple(_step(one) for one in raw))


def _step(raw: Any) -> Step:
    if not isinstance(raw, Mapping):
        raise DataError("a step of post-processing must say what it is")
    name = str(raw.get("step"))
    if name not in _STEPS:
        raise DataError(unknown_name("step of post-processing", name, _STEPS))
    fields = {key: value for key, value in raw.items() if key != "step"}
    kinds: dict[str, tuple[type, ...]] = {"name": (str, type(None)), "least": (int, float), "unit": (str,)}
    if not all(type(value) in kinds.get(key, ()) for key, value in fields.items()):
        raise DataError(f"the step {name} of post-processing has a field that it does not know, or of another type")
    try:
        return _STEPS[name](**fields)
    except TypeError as error:
        raise DataError(f"the step {name} of post-processing is incomplete: {error}") from None


def _words(step: Step) -> str:
    of = "all labels together" if step.name is None else step.name
    match step:
        case KeepLargest():
            return f"keep the largest piece of {of}"
        case RemoveSmall():
            return f"remove pieces of {of} below {step.least:g} {step.unit}"
