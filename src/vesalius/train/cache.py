"""Prepared cases: made once, kept compressed on disk, read by patches without loading the volume."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, PlanError, VesaliusError
from vesalius.image import Case, Dataset
from vesalius.jobs import cores
from vesalius.plan import Plan, Prepared, prepare, prepare_reference
from vesalius.plan.prepare import IGNORE, prepare_kinds
from vesalius.train.keys import hash_case, hash_files, plan_key
from vesalius.train.places import Places, find_places
from vesalius.train.store import CaseCache, Entry, NoRoomError
from vesalius.train.tiles import ReadsWindows, tile_shape

_MEMORY_GIB = 1.0
_GIB = 2**30
_PLACES_TILE = 2**12  # one is read at a time
_WORKERS = 2  # that prepare at once: each holds a whole case in memory

Amend = Callable[[Case, Prepared, NDArray[np.int16]], NDArray[np.int16]]
"""Changes the class numbers of a case that has just been prepared."""


@dataclass(frozen=True, eq=False)
class CachedCase:
    """A prepared case, in memory or on disk.

    Args:
        id: Of the case.
        image: ``(c, *grid)``, float32.
        classes: ``(*grid)``, int16: class numbers, -1 where nobody looked.
        places: Where the classes are.
        coarse: ``(*grid)``, int16: in a cascade, the class numbers that the coarse stage found.
        key: Of what it was made from, and how.
    """

    id: str
    image: ReadsWindows
    classes: ReadsWindows
    places: Places
    coarse: ReadsWindows | None = None
    key: str = ""

    @property
    def nbytes(self) -> int:
        """Of its arrays, decompressed."""
        parts = (self.image, self.classes, self.places.voxels, self.coarse)
        return sum(part.nbytes for part in parts if part is not None)

    def in_memory(self) -> CachedCase:
        """The same case, decompressed."""
        coarse = None if self.coarse is None else np.asarray(self.coarse)
        places = replace(self.places, voxels=np.asarray(self.places.voxels))
        return replace(
            self, image=np.asarray(self.image), classes=np.asarray(self.classes), places=places, coarse=coarse
        )


def build_cache(
    dataset: Dataset,
    plan: Plan,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    limit_gib: float | None = None,
    memory_gib: float = _MEMORY_GIB,
    amend: Amend | None = None,
    amend_key: str = "",
    note: Callable[[str], None] | None = None,
) -> list[CachedCase]:
    """Prepare every case once and keep it on disk; what is there already is checked and taken up again.

    An entry belongs to the bytes of the case's files and to what the plan says of preparing, not to a run: runs, folds
    and plans that differ in training only share the folder, also at the same time.

    Args:
        dataset: Cases with references.
        plan: How to prepare.
        folder: Where the entries go; see `CaseCache`.
        progress: Called with (done, total).
        limit_gib: The most that the folder may take; entries that no run uses make room. None for no limit.
        memory_gib: The smallest cases are kept decompressed in memory, as many as fit into this; the others are read
            from disk, window by window.
        amend: Changes the class numbers of a prepared case before it is stored, for example to replace the
            background by what another network says. It is called from one thread only.
        amend_key: What the amendment depends on; with ``amend`` only, and then obligatory.
        note: Told in a sentence when an entry was damaged and had to be made anew.

    Returns:
        The cases, in the data set's order.

    Raises:
        DataError: A case cannot be read, does not suit the plan, or has no voxel that is annotated; the message
            names it.
        PlanError: One of ``amend`` and ``amend_key`` without the other.
        VesaliusError: The folder cannot be written (full disk, read-only), or the cases do not fit under the limit.
    """
    if (amend is None) != (amend_key == ""):
        raise PlanError("amend and amend_key belong together: the key says what the amendment depends on")
    cache = CaseCache(folder, limit_gib=limit_gib, note=note)
    painted = plan.augmentation.generation is not None
    key = plan_key(plan, amend_key=f"{amend_key}, maps of kinds" if painted else amend_key)
    how = _How(dataset, plan, cache, key, amend)
    cases: list[CachedCase] = []
    stored = 0
    workers = 1 if amend is not None else min(_WORKERS, cores())
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        for case, taken in pool.map(how.made, range(len(dataset))):
            cases.append(case)
            stored += taken
            if progress is not None:
                progress(len(cases), len(dataset))
    except NoRoomError as error:
        needed = stored / max(1, len(cases)) * len(dataset) / _GIB
        so_far = f" ({len(dataset)} cases, about {needed:.2g} GiB in all)" if cases else ""
        raise VesaliusError(f"{error}{so_far}; raise the limit, or prepare coarser or fewer cases") from error
    finally:
        pool.shutdown(cancel_futures=True)
    return _in_memory(cases, memory_gib)


def _in_memory(cases: list[CachedCase], memory_gib: float) -> list[CachedCase]:
    """Decompress the smallest cases, as many as fit."""
    room = memory_gib * _GIB
    kept = list(cases)
    for number in sorted(range(len(cases)), key=lambda number: cases[number].nbytes):
        room -= cases[number].nbytes
        if room < 0:
            break
        kept[number] = cases[number].in_memory()
    return kept


@dataclass(frozen=True, eq=False)
class _How:
    """What all cases of a call share."""

    dataset: Dataset
    plan: Plan
    cache: CaseCache
    plan_key: str
    amend: Amend | None

    def made(self, number: int) -> tuple[CachedCase, int]:
        """A case, taken up or prepared, and the bytes that it takes on disk."""
        record = self.dataset.records[number]
        name = f"case {record.id}"
        with _named(name):
            content, case = hash_files(record, self.dataset), None
            if content is None:
                case = self._read(number)
                content = hash_case(case)
        key = hashlib.blake2b(f"{content}\n{self.plan_key}".encode(), digest_size=16).hexdigest()
        entry = self.cache.take(key, name=name)
        if entry is None:
            with _named(name):
                image, classes = self._prepared(case or self._read(number))
            entry = self._stored(key, name, image, classes)
        arrays, facts = entry.arrays, entry.facts
        places = Places(arrays["places"], tuple(facts["classes"]), tuple(facts["starts"]), arrays["classes"].shape)
        return CachedCase(record.id, arrays["image"], arrays["classes"], places, key=key), entry.stored_bytes

    def _read(self, number: int) -> Case:
        case = self.dataset[number]
        if case.reference is None:
            raise DataError("it has no reference")
        return case

    def _prepared(self, case: Case) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        assert case.reference is not None
        painted = self.plan.augmentation.generation is not None
        prepared = prepare_kinds(case.image, self.plan) if painted else prepare(case.image, self.plan)
        classes = prepare_reference(case.reference, prepared.grid, self.plan)
        if self.amend is not None:
            classes = np.ascontiguousarray(self.amend(case, prepared, classes), dtype=np.int16)
            if classes.shape != prepared.grid.shape:
                raise DataError(f"the amendment gave classes of shape {classes.shape}, not {prepared.grid.shape}")
        if (classes == IGNORE).all():
            raise DataError("none of its voxels is annotated: leave it out, or check the value that means 'ignore'")
        return prepared.array, classes

    def _stored(self, key: str, name: str, image: NDArray[np.float32], classes: NDArray[np.int16]) -> Entry:
        tile = tile_shape(image.shape, self.plan.patch_size)
        places = find_places(classes)
        return self.cache.put(
            key,
            {"image": image, "classes": classes, "places": np.asarray(places.voxels)},
            {"image": tile, "classes": tile[1:], "places": (min(places.voxels.shape[0], _PLACES_TILE),)},
            name=name,
            facts={"classes": places.classes, "starts": places.starts},
        )


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the name of the case in front of what went wrong with it."""
    try:
        yield
    except VesaliusError as error:
        text = str(error)
        raise DataError(text if text.startswith(f"{name}: ") else f"{name}: {text}") from error
