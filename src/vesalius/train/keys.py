"""What a prepared case depends on, as a key: the bytes that it was made from, and what the plan says of preparing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from vesalius.errors import DataError
from vesalius.image import Case, Dataset, Labels, Record
from vesalius.io import PICTURES, format_of
from vesalius.io.layouts.load import load_case
from vesalius.plan import Plan

CACHE_VERSION = 2
"""Goes up when the form of an entry changes, or what preparing makes of an image."""

_ONE_FILE = (*PICTURES, ".nii", ".nii.gz", ".npy", ".npz")
"""Formats of which one file is all there is. The others may point to further files (``.mhd``, a DICOM slice)."""


def plan_key(plan: Plan, *, amend_key: str = "") -> str:
    """What a plan says of preparing, as text: two plans that differ in training only share their prepared cases.

    Args:
        plan: Any plan.
        amend_key: What else decides about the classes, see `vesalius.train.cache.build_cache`.
    """
    says = {
        "ndim": plan.ndim,
        "channels": plan.channels,
        "labels": [(label.name, label.value) for label in plan.labels.labels],
        "calibrated": plan.calibrated,
        "spacing_mm": plan.spacing_mm,
        "normalisation": [asdict(how) for how in plan.normalisation],
        "preparation": asdict(plan.preparation),
        "amend": amend_key,
        "cache": CACHE_VERSION,
        "vesalius": version("vesalius"),
    }
    return json.dumps(says, sort_keys=True)


def hash_files(record: Record, dataset: Dataset) -> str | None:
    """Digest of the files of a case, and of how the data set reads them.

    Args:
        record: The case.
        dataset: Whose it is.

    Returns:
        ``None`` where files do not tell all: the data set reads in its own way, or a format spreads over files that
        only its reader finds. Then `hash_case` tells.

    Raises:
        DataError: A file cannot be read.
    """
    if dataset.load is not load_case or record.reference is None:
        return None
    digest = hashlib.blake2b(digest_size=20)
    labels = dataset.labels
    digest.update(repr((dataset.channels, _meaning(labels), dataset.binarise_above)).encode())
    try:
        for path in (*record.images, record.reference):
            if path.is_dir():
                files = sorted(file for file in path.rglob("*") if file.is_file())
            elif format_of(path) in _ONE_FILE:
                files = [path]
            else:
                return None
            digest.update(f"{len(files)} files, {format_of(path)};".encode())
            for file in files:
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=20)).digest())
    except OSError as error:
        raise DataError(f"{Path(error.filename or '').name}: the file cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def hash_case(case: Case) -> str:
    """Digest of a case that has been read: voxels, grid and what its numbers mean."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (case.image, case.reference):
        if part is not None:
            digest.update(repr((part.array.shape, part.array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(part.array).data)
            digest.update(np.ascontiguousarray(part.grid.affine).data)
    labels = None if case.reference is None else case.reference.labels
    digest.update(repr((case.image.meta.calibrated, _meaning(labels))).encode())
    return digest.hexdigest()


def _meaning(labels: Labels | None) -> object:
    """What the values stand for."""
    return labels and ([(label.name, label.value) for label in labels.labels], labels.ignore)
