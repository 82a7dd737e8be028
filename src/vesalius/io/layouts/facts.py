"""What is known of a case once its files have been read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vesalius.image import Case, LabelMap, Labels, Modality, Record, Volume
from vesalius.io import PICTURES, read_labels
from vesalius.io.layouts.files import suffix
from vesalius.io.layouts.load import read_channels, refuse_other_place

_SLAB = 1 << 22  # voxels hashed at a time


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image.

    Args:
        shape: Points on each axis of the grid.
        spacing_mm: Distance between them; 1 means one pixel when not ``calibrated``.
        calibrated: Whether the spacing is physical.
        modality: The kind of image.
        channels: Number of channels of all files together.
        digest: A fingerprint of the voxels: equal images have equal ones, whatever file, type or place they have.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    calibrated: bool
    modality: Modality
    channels: int
    digest: str


@dataclass(frozen=True)
class ReferenceFacts:
    """What is known of a reference.

    Args:
        counts: Voxels of each value in the file, background included.
        labels: What the file itself says that the values mean, or bare names.
        picture: Stored in a picture format, so that it may be a mask with soft edges.
        lossy: Stored in a format that changes values (JPEG).
    """

    counts: Mapping[int, int]
    labels: Labels
    picture: bool = False
    lossy: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known of a case; ``None`` for what was not read."""

    image: ImageFacts | None = None
    reference: ReferenceFacts | None = None


def examine(record: Record) -> Facts:
    """Read every file of a case.

    Raises:
        VesaliusError: A file cannot be read, or the files do not lie on one grid.
    """
    image = read_channels(record.images)
    if record.reference is None:
        return Facts(_describe_image(image))
    found = read_labels(record.reference)
    refuse_other_place(image, found.grid, record.reference.name)
    return Facts(_describe_image(image), _describe_reference(found, record.reference))


def examine_case(case: Case) -> Facts:
    """What is known of a case that was read in a layout's own way."""
    reference = case.reference
    found = None if reference is None else ReferenceFacts(reference.counts(), reference.labels)
    return Facts(_describe_image(case.image), found)


def examine_image(record: Record) -> Facts:
    """Read the image of a case only."""
    return Facts(image=_describe_image(read_channels(record.images)))


def examine_reference(record: Record) -> Facts:
    """Read the reference of a case only, if it has one."""
    if record.reference is None:
        return Facts()
    return Facts(reference=_describe_reference(read_labels(record.reference), record.reference))


def _describe_image(image: Volume) -> ImageFacts:
    grid = image.grid
    return ImageFacts(
        grid.shape, grid.spacing_mm, image.meta.calibrated, image.meta.modality, image.channels, _digest(image)
    )


def _digest(image: Volume) -> str:
    # Slab by slab in single precision: the same picture stored as uint8 and as float32 is the same picture.
    found = hashlib.blake2b(str(image.array.shape).encode(), digest_size=16)
    length = image.array.shape[-1]
    step = max(1, _SLAB * length // image.array.size)
    for start in range(0, length, step):
        found.update(np.ascontiguousarray(image.array[..., start : start + step], dtype=np.float32).data)
    return found.hexdigest()


def _describe_reference(reference: LabelMap, path: Path) -> ReferenceFacts:
    known = suffix(path)
    return ReferenceFacts(
        reference.counts(), reference.labels, picture=known in PICTURES, lossy=known in (".jpg", ".jpeg")
    )
