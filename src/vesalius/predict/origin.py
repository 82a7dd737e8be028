"""What a result was made of, as a checksum: of the image's files, the bundle and the settings."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from vesalius.bundle import Bundle
from vesalius.io.layouts.files import stem, suffix
from vesalius.plan import plan_to_json
from vesalius.transform.postprocess import postprocessing_to_json

_DETACHED = (".mhd", ".nhdr", ".hdr")  # headers whose voxels are in another file


def origin_of(images: Sequence[Path], made_by: str, settings: Mapping[str, object]) -> str:
    """Checksum of all that decides what a result is, this release of Vesalius included.

    Args:
        images: The files of the image, told apart by name, size and time of change: to look inside takes as long as to
            read them. A DICOM folder counts with all its files, a header with the files of its voxels.
        made_by: The bundle's digest, see `bundle_digest`.
        settings: That matter, by name; values of JSON.
    """
    told = [version("vesalius"), made_by, dict(settings), [_stamps(path) for path in images]]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def bundle_digest(bundle: Bundle) -> str:
    """Checksum of what decides a bundle's results: plans, weights and clean-up, but not the words on its card."""
    told = hashlib.sha256(plan_to_json(bundle.plan).encode())
    told.update(json.dumps(postprocessing_to_json(bundle.postprocessing)).encode())
    for weights in bundle.members:
        for name in sorted(weights):
            told.update(f"{name} {weights[name].dtype} {weights[name].shape}".encode())
            told.update(np.ascontiguousarray(weights[name]).data)
    for inner in (bundle.coarse, *bundle.partners):
        told.update(b"-" if inner is None else bundle_digest(inner).encode())
    return told.hexdigest()


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of each file of an image; of those that are there."""
    files = [path]
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
    elif suffix(path) in _DETACHED:
        files = list(path.parent.glob(f"{glob.escape(stem(path))}.*"))
    states = [(file.relative_to(path.parent).as_posix(), file.stat()) for file in sorted(files) if file.exists()]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]
