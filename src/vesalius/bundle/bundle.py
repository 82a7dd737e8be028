"""A trained segmenter, and how it is written and read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from vesalius.bundle.card import Card, card_from_json, card_to_json
from vesalius.bundle.parts import DESCRIPTION, LARGEST_DESCRIPTION, Read, digest, open_parts
from vesalius.bundle.slots import FOLDER_NAME, WEIGHTS_NAME, Slots, coarse_names, partner_names
from vesalius.bundle.tensors import Precision, exact_precision, weights_from_bytes, weights_to_bytes
from vesalius.classical.pixels import holds_pixels
from vesalius.errors import BundleError, DataError, unknown_name
from vesalius.io.atomic import make_folder, write_bytes, write_text
from vesalius.plan import Plan, plan_from_json, plan_to_json
from vesalius.transform.postprocess import (
    Postprocessing,
    RemoveSmall,
    postprocessing_from_json,
    postprocessing_to_json,
)

Weights = Mapping[str, NDArray[Any]]
"""Of one network, by name, as its state dictionary has them."""

Role = Literal["whole", "partner", "coarse"]

_FORMAT = "vesalius bundle"
_VERSION = 2
_MOST_MEMBERS, _MOST_PARTNERS = 64, 16


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained segmenter: all that inference needs.

    Args:
        plan: What was done, and what inference must do.
        members: Weights of the plan's network, once for each fold that was trained; their logits are averaged.
        coarse: The first stage of a cascade, whose labels the network sees.
        partners: Segmenters of other configurations for the same labels, whose probabilities are averaged with its own.
        postprocessing: The clean-up of the result. That of partners and of the coarse stage is not applied.
        card: What a person must know.
        provenance: Versions, seed, steps, times; plain JSON values.

    Raises:
        BundleError: The parts do not belong together, or are nested too deeply: a partner has no partners, and a
            coarse stage has neither partners nor a coarse stage.
    """

    plan: Plan
    members: tuple[Weights, ...]
    _: KW_ONLY
    coarse: Bundle | None = None
    partners: tuple[Bundle, ...] = ()
    postprocessing: Postprocessing = field(default_factory=Postprocessing)
    card: Card = field(default_factory=Card)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.members, Mapping):
            raise BundleError("a bundle's members must be a tuple, in which the weights of one network are one entry")
        object.__setattr__(self, "members", tuple(self.members))
        object.__setattr__(self, "partners", tuple(self.partners))
        _check_counts(len(self.members), len(self.partners))
        shapes = [{name: array.shape for name, array in weights.items()} for weights in self.members]
        if any(other != shapes[0] for other in shapes):
            raise BundleError("the members are weights of different networks; those of another plan are a partner")
        _check_coarse(self.plan, self.coarse)
        _check_partners(self.plan, self.partners)
        _check_postprocessing(self.plan, self.postprocessing)

    @property
    def weights(self) -> Weights:
        """Of the first member, which mostly is the only one."""
        return self.members[0]

    @property
    def exact_precision(self) -> Precision:
        """The precision in which all its weights are written as they are, and the fewest bytes."""
        parts = (self, *self.partners, *(() if self.coarse is None else (self.coarse,)))
        inner = (one.coarse for one in self.partners if one.coarse is not None)
        exact = {exact_precision(weights) for one in (*parts, *inner) for weights in one.members}
        return "single" if "single" in exact else "half"

    def save(self, folder: Path | str, *, precision: Precision = "half") -> Path:
        """Write the bundle into a folder: weights first, then the description that names them, then old weights go.

        Whenever that is interrupted, the folder holds the bundle that stood there before, or this one.

        Args:
            folder: Made if it is not there.
            precision: Of the weights: ``"half"`` where that loses nothing but digits (2 bytes each), or ``"single"``,
                for weights that shall say exactly what they said elsewhere.

        Returns:
            The folder.

        Raises:
            VesaliusError: The folder cannot be written.
        """
        place = make_folder(folder)
        _write(self, place, precision)
        return place

    @classmethod
    def load(cls, path: Path | str) -> Bundle:
        """Read a bundle from a folder, a zip, or the name of a built-in one. No code from it is run.

        Raises:
            BundleError: There is none, it is damaged, or of a version that this release cannot read.
        """
        place, name = Path(path), Path(path).name or str(path)
        if not place.exists():
            known = built_in()
            if str(path) not in known:
                raise BundleError(f"no such bundle: {unknown_name('built-in bundle', str(path), known)}")
            place = known[str(path)]
        elif holds_pixels(place):
            raise BundleError(
                f"{name} is a classifier of pixels, not of networks: `vesalius segment` and `vesalius show` take it, "
                "and in Python vesalius.segment"
            )
        return _read(open_parts(place, name), name)

    def with_card(self, **changes: Any) -> Bundle:
        """The same segmenter with other words on its card."""
        return replace(self, card=replace(self.card, **changes))


def built_in() -> dict[str, Path]:
    """The bundles that ship inside the package, by name."""
    root = Path(str(resources.files("vesalius"))) / "models"
    return {place.parent.name: place.parent for place in sorted(root.glob(f"*/{DESCRIPTION}"))}


# --- what belongs together --------------------------------------------------------------------------------------------


def _check_counts(members: int, partners: int) -> None:
    if not 1 <= members <= _MOST_MEMBERS or partners > _MOST_PARTNERS:
        raise BundleError(
            f"a bundle has 1 to {_MOST_MEMBERS} members and at most {_MOST_PARTNERS} partners, "
            f"not {members} and {partners}"
        )


def _check_coarse(plan: Plan, coarse: Bundle | None) -> None:
    if coarse is None:
        return
    if coarse.coarse is not None or coarse.partners:
        raise BundleError("the coarse stage of a cascade must be a segmenter without partners or a coarse stage")
    if coarse.plan.channels != plan.channels or coarse.plan.ndim != plan.ndim:
        raise BundleError(
            f"the coarse stage sees {', '.join(coarse.plan.channels)} ({coarse.plan.ndim}D) "
            f"and the fine one {', '.join(plan.channels)} ({plan.ndim}D); they must see the same"
        )
    if len(coarse.plan.labels) != plan.coarse_labels:
        raise BundleError(
            f"the coarse stage finds {len(coarse.plan.labels)} labels; the plan expects {plan.coarse_labels}"
        )


def _check_partners(plan: Plan, partners: tuple[Bundle, ...]) -> None:
    for partner in partners:
        if partner.partners:
            raise BundleError("a partner must be a segmenter without partners; name all of them side by side")
        for name in ("ndim", "channels", "labels", "outputs", "regions", "calibrated"):
            mine, theirs = getattr(plan, name), getattr(partner.plan, name)
            if mine != theirs:
                raise BundleError(f"{name} of a partner's plan must be the bundle's ({mine}), not {theirs}")


def _check_postprocessing(plan: Plan, how: Postprocessing) -> None:
    for name in sorted(how.names):
        try:
            plan.labels.members(name)
        except DataError as error:
            raise BundleError(f"the post-processing names no label or region of the plan: {error}") from None
    suited = "voxels" if not plan.calibrated else "mm2" if plan.ndim == 2 else "ml"
    for step in how.steps:
        if isinstance(step, RemoveSmall) and step.unit not in (suited, "voxels"):
            raise BundleError(f"the post-processing measures pieces in {step.unit}; these images need {suited}")


# --- writing ----------------------------------------------------------------------------------------------------------


def _write(bundle: Bundle, place: Path, precision: Precision) -> str:
    """Write a bundle and what it holds; returns the checksum of its description."""
    slots = Slots(place)
    members = []
    for weights in bundle.members:
        raw = weights_to_bytes(weights, precision=precision)
        sha256 = digest(raw)
        name, is_there = slots.for_weights(sha256)
        if not is_there:
            write_bytes(place / name, raw)
        members.append({"file": name, "sha256": sha256})

    def inner(other: Bundle, folder: str) -> dict[str, str]:
        return {"folder": folder, "sha256": _write(other, make_folder(place / folder), precision)}

    text = {
        "format": _FORMAT,
        "version": _VERSION,
        "members": members,
        "coarse": None if bundle.coarse is None else inner(bundle.coarse, slots.free(coarse_names())),
        "partners": [inner(partner, slots.free(partner_names())) for partner in bundle.partners],
        "postprocessing": postprocessing_to_json(bundle.postprocessing),
        "card": card_to_json(bundle.card),
        "provenance": dict(bundle.provenance),
        "plan": json.loads(plan_to_json(bundle.plan)),
    }
    described = json.dumps(text, indent=2, ensure_ascii=False) + "\n"
    write_text(place / DESCRIPTION, described)
    slots.clear()
    return digest(described.encode())


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(read: Read, name: str, *, role: Role = "whole", inside: str = "", sha256: str | None = None) -> Bundle:
    """Read a bundle, or one inside it.

    Args:
        read: The parts of the outermost bundle.
        name: Of this bundle, for messages.
        role: What it is to the one that holds it; it limits what it may hold.
        inside: Its folder within the outermost bundle, with a slash at the end.
        sha256: Checksum that its description must have.
    """
    text = read(inside + DESCRIPTION, LARGEST_DESCRIPTION)
    if sha256 is not None and digest(text) != sha256:
        raise BundleError(f"{name}: the {role} is damaged or not this bundle's (the checksum of its description)")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise BundleError(f"{name}: {inside}{DESCRIPTION} is not JSON") from None
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
        raise BundleError(f"{name}: {inside}{DESCRIPTION} does not describe a {_FORMAT}")
    if raw.get("version") not in (1, _VERSION):
        raise BundleError(f"{name}: version {raw.get('version')!r}; this release reads 1 to {_VERSION}")
    try:
        if raw["version"] == 1:
            raw |= {"members": [raw["weights"]], "coarse": None, "partners": [], "postprocessing": []}
        plan = plan_from_json(json.dumps(raw["plan"]))
        card = card_from_json(raw["card"])
        provenance = dict(raw["provenance"])
        postprocessing = postprocessing_from_json(raw["postprocessing"])
        members = [_reference(part, "file") for part in raw["members"]]
        coarse = None if raw["coarse"] is None else _reference(raw["coarse"], "folder")
        partners = [_reference(part, "folder") for part in raw["partners"]]
        _check_nesting(role, len(members), coarse is not None, len(partners))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{name}: the description is incomplete or contradicts itself: {error}") from None

    def inner(part: tuple[str, str], role: Role) -> Bundle:
        return _read(read, name, role=role, inside=f"{inside}{part[0]}/", sha256=part[1])

    weights = tuple(_weights(read, name, inside + file, wanted) for file, wanted in members)
    stage = None if coarse is None else inner(coarse, "coarse")
    others = tuple(inner(part, "partner") for part in partners)
    try:
        return Bundle(
            plan,
            weights,
            coarse=stage,
            partners=others,
            postprocessing=postprocessing,
            card=card,
            provenance=provenance,
        )
    except BundleError as error:
        raise BundleError(f"{name}: {error}") from None


def _reference(part: Any, kind: Literal["file", "folder"]) -> tuple[str, str]:
    """Name and checksum of a part. A name is one that this package gives: no path leads out of the bundle.

    Raises:
        TypeError, KeyError: It is something else.
    """
    name, sha256 = part[kind], part["sha256"]
    allowed = WEIGHTS_NAME if kind == "file" else FOLDER_NAME
    if not (isinstance(name, str) and isinstance(sha256, str) and allowed.fullmatch(name)):
        raise TypeError(f"a part must be a {kind} of this bundle with its checksum, such as {allowed.pattern}")
    return name, sha256


def _check_nesting(role: Role, members: int, coarse: bool, partners: int) -> None:
    _check_counts(members, partners)
    if (partners and role != "whole") or (coarse and role == "coarse"):
        raise TypeError(f"a {role} inside a bundle must not hold further bundles")


def _weights(read: Read, name: str, file: str, sha256: str) -> Weights:
    data = read(file, None)
    if digest(data) != sha256:
        raise BundleError(f"{name}: the weights {file} are damaged or not this bundle's (their checksum differs)")
    return weights_from_bytes(data, f"{name}: {file}")
