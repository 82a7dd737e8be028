"""Prepared cases on disk, read by patches without loading the volume."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Dataset
from vesalius.io.atomic import explained, make_folder, write_text
from vesalius.plan import Plan, plan_to_json, prepare, prepare_reference

_MOST_PLACES = 10_000  # voxels remembered of each class of a case (Source: nnU-Net)


@dataclass(frozen=True, eq=False)
class CachedCase:
    """A prepared case.

    Args:
        id: Of the case.
        image: ``(c, *grid)``, float32, memory-mapped.
        classes: ``(*grid)``, int16: class numbers, -1 where nobody looked; memory-mapped.
        places: For each class that occurs, ``(n, ndim)`` of its voxels, at most 10,000, evenly spread.
    """

    id: str
    image: NDArray[np.float32]
    classes: NDArray[np.int16]
    places: tuple[NDArray[np.int32], ...]


def build_cache(
    dataset: Dataset, plan: Plan, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> list[CachedCase]:
    """Prepare every case once and keep it on disk; what is there already is taken up again.

    Args:
        dataset: Cases with references.
        plan: How to prepare.
        folder: Where the arrays go.
        progress: Called with (done, total).

    Returns:
        The cases, in the data set's order.

    Raises:
        DataError: A case cannot be read or does not suit the plan; the message names it.
        VesaliusError: The folder cannot be written (full disk, read-only).
    """
    make_folder(folder)
    stamp = plan_to_json(plan)
    known = folder / "plan.json"
    if not known.is_file() or known.read_text() != stamp:
        for old in [*folder.glob("*.json"), *folder.glob("*.npy")]:
            old.unlink()
        write_text(known, stamp)
    cases = []
    for number, record in enumerate(dataset.records):
        place = folder / f"{number:06d}"
        if not _is_done(place, record.id):
            try:
                case = dataset[number]
                if case.reference is None:
                    raise DataError("it has no reference")
                prepared = prepare(case.image, plan)
                classes = prepare_reference(case.reference, prepared.grid, plan)
            except VesaliusError as error:
                raise DataError(f"case {record.id}: {error}") from error
            _put_away(place, record.id, prepared.array, classes)
        image = np.load(_part(place, "image"), mmap_mode="r")
        classes = np.load(_part(place, "classes"), mmap_mode="r")
        cases.append(CachedCase(record.id, image, classes, _places(classes)))
        if progress is not None:
            progress(number + 1, len(dataset))
    return cases


def _part(place: Path, name: str) -> Path:
    return place.with_name(f"{place.name}-{name}.npy")


def _is_done(place: Path, case: str) -> bool:
    stamp = place.with_suffix(".json")
    return stamp.is_file() and json.loads(stamp.read_text()) == case


def _put_away(place: Path, case: str, image: NDArray[np.float32], classes: NDArray[np.int16]) -> None:
    """Write the arrays, then the stamp that says they are whole. No fsync: after a power cut the cache is made anew."""
    with explained("the prepared cases"):
        np.save(_part(place, "image"), image, allow_pickle=False)
        np.save(_part(place, "classes"), classes, allow_pickle=False)
        place.with_suffix(".json").write_text(json.dumps(case))


def _places(classes: NDArray[np.int16]) -> tuple[NDArray[np.int32], ...]:
    found = []
    flat = np.asarray(classes).reshape(-1)
    for number in range(1, int(flat.max(initial=0)) + 1):
        where = np.flatnonzero(flat == number)
        if where.size == 0:
            continue
        if where.size > _MOST_PLACES:
            where = where[np.linspace(0, where.size - 1, _MOST_PLACES).astype(np.int64)]
        found.append(np.stack(np.unravel_index(where, classes.shape), axis=-1).astype(np.int32))
    return tuple(found)
