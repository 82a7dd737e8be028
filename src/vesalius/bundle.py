"""A trained segmenter on disk: plan, weights, card and provenance; nothing in it is code."""

from __future__ import annotations

import hashlib
import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import BundleError, unknown_name
from vesalius.io.atomic import make_folder, write_bytes, write_text
from vesalius.plan import Plan, plan_from_json, plan_to_json

_FORMAT = "vesalius bundle"
_VERSION = 1
_DESCRIPTION = "bundle.json"
_WEIGHTS = "weights.safetensors"
_LARGEST_DESCRIPTION = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a person must know before using the segmenter.

    Args:
        name: Of the segmenter.
        description: What it segments, in what kind of image.
        data: What it was trained on.
        data_licence: Licence of these data.
        recipe: How it was trained, in words and numbers.
        scores: Mean Dice on cases it was not trained on, by label; empty when there were none.
        scores_on: What these cases were.
        limits: What it must not be used for.
    """

    name: str = ""
    description: str = ""
    data: str = ""
    data_licence: str = ""
    recipe: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    scores_on: str = ""
    limits: str = "For research use only; not a medical device."


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained segmenter: all that inference needs.

    Args:
        plan: What was done, and what inference must do.
        weights: Of the network, by name, as its state dictionary has them.
        card: What a person must know.
        provenance: Versions, seed, steps, times; plain JSON values.
    """

    plan: Plan
    weights: Mapping[str, NDArray[Any]]
    card: Card = field(default_factory=Card)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path | str) -> Path:
        """Write the bundle into a folder, weights first, so that a description never stands without its weights.

        Weights are stored in half precision where that loses nothing but digits (2 bytes each).

        Returns:
            The folder.

        Raises:
            VesaliusError: The folder cannot be written.
        """
        from safetensors.numpy import save as to_bytes

        place = make_folder(folder)
        raw = to_bytes({name: _compact(array) for name, array in self.weights.items()})
        write_bytes(place / _WEIGHTS, raw)
        text = {
            "format": _FORMAT,
            "version": _VERSION,
            "weights": {"file": _WEIGHTS, "sha256": hashlib.sha256(raw).hexdigest()},
            "card": {**self.card.__dict__, "scores": dict(self.card.scores)},
            "provenance": dict(self.provenance),
            "plan": json.loads(plan_to_json(self.plan)),
        }
        write_text(place / _DESCRIPTION, json.dumps(text, indent=2, ensure_ascii=False) + "\n")
        return place

    @classmethod
    def load(cls, path: Path | str) -> Bundle:
        """Read a bundle from a folder, a zip, or the name of a built-in one. No code from it is run.

        Raises:
            BundleError: There is none, it is damaged, or of a version that this release cannot read.
        """
        read = _reader(path)
        text = read(_DESCRIPTION, _LARGEST_DESCRIPTION)
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError):
            raise BundleError(f"{_name(path)}: {_DESCRIPTION} is not JSON") from None
        if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
            raise BundleError(f"{_name(path)}: {_DESCRIPTION} does not describe a {_FORMAT}")
        if raw.get("version") != _VERSION:
            raise BundleError(f"{_name(path)}: version {raw.get('version')!r}; this release reads {_VERSION}")
        try:
            plan = plan_from_json(json.dumps(raw["plan"]))
            card = _card(raw["card"])
            provenance = dict(raw["provenance"])
            digest = raw["weights"]["sha256"]
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{_name(path)}: the description is incomplete or contradicts itself: {error}") from None
        data = read(_WEIGHTS, None)
        if hashlib.sha256(data).hexdigest() != digest:
            raise BundleError(f"{_name(path)}: the weights are damaged or not this bundle's (their checksum differs)")
        return cls(plan, _tensors(data, path), card, provenance)

    def with_card(self, **changes: Any) -> Bundle:
        """The same segmenter with other words on its card."""
        return replace(self, card=replace(self.card, **changes))


def built_in() -> dict[str, Path]:
    """The bundles that ship inside the package, by name."""
    root = Path(str(resources.files("vesalius"))) / "models"
    return {place.parent.name: place.parent for place in sorted(root.glob(f"*/{_DESCRIPTION}"))}


def _card(raw: Any) -> Card:
    """A card whose values are what they must be.

    Raises:
        TypeError: They are not.
    """
    card = Card(**raw)
    scores = card.scores
    if not isinstance(scores, dict) or not all(isinstance(s, float | int) for s in scores.values()):
        raise TypeError("the card's scores must be numbers by name")
    if not all(isinstance(text, str) for name, text in raw.items() if name != "scores"):
        raise TypeError("the card must be written in words")
    return card


def _name(path: Path | str) -> str:
    return Path(path).name or str(path)


def _reader(path: Path | str) -> Any:
    """A function that reads a named part of the bundle, no more than some bytes of it."""
    place = Path(path)
    if not place.exists():
        known = built_in()
        if str(path) not in known:
            raise BundleError(f"no such bundle: {unknown_name('built-in bundle', str(path), known)}")
        place = known[str(path)]
    if place.is_dir():
        if not (place / _DESCRIPTION).is_file():
            raise BundleError(f"{_name(path)}: there is no {_DESCRIPTION} in this folder, so it is not a bundle")

        def from_folder(part: str, most: int | None) -> bytes:
            try:
                size = (place / part).stat().st_size
                if most is not None and size > most:
                    raise BundleError(f"{_name(path)}: {part} is larger than a description can be")
                return (place / part).read_bytes()
            except OSError as error:
                raise BundleError(f"{_name(path)}: cannot read {part}: {error.strerror}") from None

        return from_folder

    def from_zip(part: str, most: int | None) -> bytes:
        try:
            with zipfile.ZipFile(place) as archive:
                # Read by name and never unpacked: no member can land anywhere.
                names = [n for n in archive.namelist() if n == part or (n.endswith(f"/{part}") and n.count("/") == 1)]
                if len(names) != 1:
                    raise BundleError(f"{_name(path)}: the archive holds {len(names)} files {part}; it must hold one")
                size = archive.getinfo(names[0]).file_size
                if size > (most if most is not None else 100 * place.stat().st_size):
                    raise BundleError(f"{_name(path)}: {part} unpacks to more than it can be")
                with archive.open(names[0]) as stream:
                    return stream.read(size)
        except BundleError:
            raise
        except zipfile.BadZipFile:
            raise BundleError(f"{_name(path)}: neither a bundle's folder nor an undamaged zip of one") from None
        except (OSError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise BundleError(f"{_name(path)}: cannot unpack {part} ({type(error).__name__})") from None

    return from_zip


def _tensors(data: bytes, path: Path | str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise BundleError(f"{_name(path)}: {_WEIGHTS} is not a safetensors file") from None
    return {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in found.items()}


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Half precision, unless a value would overflow."""
    array = np.asarray(array, order="C")  # unlike `ascontiguousarray` it keeps a scalar a scalar
    largest = float(np.finfo(np.float16).max)
    if array.dtype.kind != "f" or (array.size and float(np.abs(array).max()) > largest):
        return array
    return array.astype(np.float16)
