"""The intervals that a segmenter's calibration promises, beside sizes that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.image import Size

_COLUMNS = (
    ("volume_ml", "volume_low_ml", "volume_high_ml"),
    ("area_mm2", "area_low_mm2", "area_high_mm2"),
    ("voxels", "voxels_low", "voxels_high"),
)


def promised_columns(bundle: str, sizes: Sequence[Size]) -> dict[str, dict[str, float | None]]:
    """Between which sizes the true one of each structure is promised to lie, and at which level.

    Args:
        bundle: Of the segmenter that found the structures: a folder, a zip, or the name of a built-in one.
        sizes: What was measured of its label map.

    Returns:
        Columns by structure, of those that are promised something: volumes in 3D, areas in 2D, else voxels.

    Raises:
        BundleError: The bundle cannot be read, or is not calibrated for any of these structures.
    """
    from vesalius.bundle import Bundle
    from vesalius.errors import BundleError

    card = Bundle.load(bundle).card
    found: dict[str, dict[str, float | None]] = {}
    for size in sizes:
        unit, low, high = next(names for names in _COLUMNS if getattr(size, names[0]) is not None)
        both = None if card.calibration is None else card.calibration.interval(size.name, getattr(size, unit))
        if card.calibration is not None and both is not None:
            found[size.name] = {low: both[0], high: both[1], "level": card.calibration.level}
    known = {} if card.calibration is None else card.calibration.factors
    if not known.keys() & {size.name for size in sizes}:
        what = f"calibrated for {', '.join(known)}, and LABELS shows none of them" if known else "not calibrated"
        raise BundleError(f"{card.name or 'the segmenter'} is {what}: there are no intervals")
    return found
