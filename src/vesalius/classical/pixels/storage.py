"""A pixel classifier on disk: a description in JSON, and arrays in safetensors. Reading it runs nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.pixels.classifier import PixelClassifier
from vesalius.classical.pixels.features import Features
from vesalius.classical.pixels.models import Model, SupportVectors
from vesalius.classical.pixels.trees import Trees
from vesalius.errors import BundleError, VesaliusError
from vesalius.io.atomic import make_folder, write_bytes, write_text
from vesalius.io.contents import labels_from_json, labels_to_json

DESCRIPTION = "pixels.json"

_FORMAT, _VERSION = "vesalius pixel classifier", 1
_LARGEST_TEXT, _LARGEST_ARRAYS, _LARGEST_LIST = 1 << 20, 1 << 30, 1 << 16  # bytes
_MOST_NODES_DEEP = 10_000


def save_pixels(classifier: PixelClassifier, folder: str | os.PathLike[str]) -> Path:
    """Write a classifier into a folder: arrays first, then the description that names them.

    Args:
        classifier: The classifier.
        folder: Made if it is not there. What stood there before is replaced; whenever that is interrupted, the folder
            holds the old one or the new one.

    Returns:
        The folder.

    Raises:
        VesaliusError: The folder cannot be written.
    """
    from safetensors.numpy import save

    place = make_folder(folder)
    arrays, numbers = _parts(classifier.model)
    data: bytes = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    digest = hashlib.sha256(data).hexdigest()
    file = f"pixels-{digest[:16]}.safetensors"
    write_bytes(place / file, data)
    told = {
        "format": _FORMAT,
        "version": _VERSION,
        "model": classifier.name,
        "numbers": numbers,
        "arrays": {"file": file, "sha256": digest},
        "features": dataclasses.asdict(classifier.features),
        "ndim": classifier.ndim,
        "channels": classifier.channels,
        "labels": json.loads(labels_to_json(classifier.labels)),
        "importances": dict(classifier.importances),
        "provenance": dict(classifier.provenance),
    }
    write_text(place / DESCRIPTION, json.dumps(told, indent=1) + "\n")
    for old in place.glob("pixels-*.safetensors"):
        if old.name != file:
            old.unlink(missing_ok=True)
    return place


def holds_pixels(place: str | os.PathLike[str]) -> bool:
    """Whether a place is the folder of a classifier, and not of another bundle.

    Args:
        place: Anything.
    """
    folder = Path(place)
    return (folder / DESCRIPTION).is_file() and not (folder / "bundle.json").is_file()


def load_pixels(folder: str | os.PathLike[str]) -> PixelClassifier:
    """Read a classifier.

    Args:
        folder: What `save_pixels` wrote.

    Raises:
        BundleError: There is none, it is damaged, or its parts contradict each other.
    """
    place = Path(folder)
    text = _read(place, DESCRIPTION, _LARGEST_TEXT)
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise BundleError(f"{place.name}: {DESCRIPTION} is not JSON") from None
    if not isinstance(told, dict) or told.get("format") != _FORMAT or told.get("version") != _VERSION:
        raise BundleError(f"{place.name}: {DESCRIPTION} does not describe a {_FORMAT} of version {_VERSION}")
    try:
        digest = str(told["arrays"]["sha256"])
        file = f"pixels-{digest[:16]}.safetensors"
        if told["arrays"]["file"] != file or not set(digest) <= set("0123456789abcdef"):
            raise ValueError("the file of the arrays is not named by its checksum")
        data = _read(place, file, _LARGEST_ARRAYS)
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{file} is damaged: its checksum differs")
        return PixelClassifier(
            features=Features(**{name: _tupled(value) for name, value in told["features"].items()}),
            ndim=int(told["ndim"]),
            channels=int(told["channels"]),
            labels=labels_from_json(json.dumps(told["labels"])),
            name=told["model"],
            model=_model(told["model"], _arrays(data), told["numbers"]),
            importances={str(name): float(value) for name, value in told["importances"].items()},
            provenance=dict(told["provenance"]),
        )
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, VesaliusError) as error:
        raise BundleError(f"{place.name}: the classifier is incomplete or contradicts itself: {error}") from None


def _parts(model: Model) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """The arrays of a model, and its bare numbers."""
    fields = {one.name: getattr(model, one.name) for one in dataclasses.fields(model)}
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in fields.items() if name not in arrays}


def _model(name: str, arrays: dict[str, NDArray[Any]], numbers: dict[str, Any]) -> Model:
    for array in arrays.values():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValueError("an array holds what is not a number")
    if name == "svm":
        gamma = float(numbers["gamma"])
        if not math.isfinite(gamma):
            raise ValueError("gamma must be finite")
        return SupportVectors(**arrays, gamma=gamma)
    depth = int(numbers["depth"])
    if not 0 <= depth <= _MOST_NODES_DEEP:
        raise ValueError("the trees are too deep")
    return Trees(**arrays, depth=depth)


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    # A list that is longer than the file could be is refused before room is made for it.
    if not 0 < int.from_bytes(data[:8], "little") <= min(_LARGEST_LIST, len(data)):
        raise ValueError("the arrays begin with a list of a size that cannot be")
    try:
        found: dict[str, NDArray[Any]] = load(data)
    except SafetensorError:
        raise ValueError("the arrays are not a safetensors file") from None
    return found


def _read(place: Path, name: str, largest: int) -> bytes:
    path = place / name
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{place.name}: there is no {name}, so this is no pixel classifier")
        if path.stat().st_size > largest:
            raise BundleError(f"{place.name}: {name} is larger than {largest:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{place.name}: {name} cannot be read: {error.strerror}") from None


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
