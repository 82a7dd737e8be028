"""``vesalius show THING``: describe a trained segmenter, a plan, or an image."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.classical.pixels import PixelClassifier
    from vesalius.image import Volume
    from vesalius.plan import Plan

_SHOWN = 10  # features that matter most

HELP = "describe a trained segmenter (card, plan, network), a plan, or an image (grid, values)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius show``."""
    parser.add_argument("thing", metavar="THING", help="a bundle or its name, a plan (JSON), an image, a DICOM folder")
    parser.add_argument("--series", help="which series of a DICOM folder")


def run(args: argparse.Namespace) -> int:
    """Find out what it is and describe it."""
    from vesalius.classical.pixels import holds_pixels, load_pixels

    path = Path(args.thing)
    if holds_pixels(path):
        return _show_pixels(args, load_pixels(path))
    from vesalius.bundle import Bundle, built_in
    from vesalius.errors import FormatError
    from vesalius.plan import plan_from_json

    if args.thing in built_in() or path.suffix == ".zip" or (path / "bundle.json").is_file():
        return _show_bundle(args, Bundle.load(args.thing))
    if path.suffix == ".json":
        try:
            text = path.read_bytes()
        except OSError as error:
            raise FormatError(f"{path.name}: the plan cannot be read: {error.strerror}") from None
        return _show_plan(args, plan_from_json(text))
    if path.is_dir() and args.series is None:
        from vesalius.io.dicom import list_series

        series = list_series(path)
        if len(series) > 1:
            return _show_series(args, series)
    from vesalius.io import read

    return _show_image(args, path.name, read(path, series=args.series))


def _network(plan: Plan) -> dict[str, Any]:
    from vesalius.nets import describe

    return describe(plan.network, patch=plan.patch_size, batch=plan.batch_size)


def _show_bundle(args: argparse.Namespace, bundle: Bundle) -> int:
    from vesalius.bundle.card import card_to_json
    from vesalius.bundle.lineage import withdrawn_from
    from vesalius.cli.cards import print_scores, print_words
    from vesalius.cli.plan import print_plan

    card, network = bundle.card, _network(bundle.plan)
    if args.json:
        plain = card_to_json(card)
        parts = _parts(bundle)
        print(json.dumps({"card": plain, "network": network, **parts, "provenance": dict(bundle.provenance)}))
        return 0
    print_words(card)
    print_scores(card)
    if count := withdrawn_from(bundle.provenance):
        print(f"{'withdrawn':14} {count} of those who took part in its training took their consent back")
    _print_parts(bundle)
    _print_network(network)
    print()
    print_plan(bundle.plan)
    return 0


def _show_pixels(args: argparse.Namespace, classifier: PixelClassifier) -> int:
    features = classifier.features
    most = sorted(classifier.importances.items(), key=lambda item: -item[1])
    told: dict[str, Any] = {
        "model": classifier.name,
        "images": f"{classifier.ndim}D, {classifier.channels} channel{'s' if classifier.channels > 1 else ''}",
        "labels": [label.name for label in classifier.labels.labels],
        "features": list(features.families),
        "scales_mm": list(features.scales_mm),
        "scaling": features.scaling,
    }
    if args.json:
        print(json.dumps({**told, "importances": dict(most), "provenance": dict(classifier.provenance)}))
        return 0
    print("a classifier of pixels; use it with `vesalius segment IMAGE --bundle FOLDER -o OUT`")
    for name, value in told.items():
        words = [f"{v:g}" if isinstance(v, float) else str(v) for v in (value if isinstance(value, list) else [value])]
        print(f"{name:14} {', '.join(words)}")
    for name, count in classifier.provenance.get("marked", {}).items():
        print(f"{'marked':14} {count:,} voxels of {name}")
    for name, share in most[:_SHOWN]:
        print(f"{'matters':14} {share:6.1%}  {name}")
    return 0


def _parts(bundle: Bundle) -> dict[str, Any]:
    """What a bundle is made of, and what is done with its result."""
    return {
        "members": len(bundle.members),
        "partners": [_part(partner) for partner in bundle.partners],
        "coarse": None if bundle.coarse is None else _part(bundle.coarse),
        "postprocessing": list(bundle.postprocessing.words),
    }


def _part(inner: Bundle) -> dict[str, Any]:
    plan = inner.plan
    return {
        "name": inner.card.name,
        "configuration": plan.configuration,
        "architecture": plan.network.architecture,
        "members": len(inner.members),
        "coarse": None if inner.coarse is None else _part(inner.coarse),
    }


def _print_parts(bundle: Bundle) -> None:
    if len(bundle.members) > 1:
        print(f"{'members':14} {len(bundle.members)} networks, whose logits are averaged")
    if bundle.coarse is not None:
        print(f"{'coarse stage':14} {_inner(bundle.coarse)}, whose labels the network sees")
    for partner in bundle.partners:
        print(f"{'partner':14} {_inner(partner)}, whose probabilities are averaged with its own")
    for step in bundle.postprocessing.words:
        print(f"{'clean-up':14} {step}")


def _inner(inner: Bundle) -> str:
    count = len(inner.members)
    words = [inner.card.name, inner.plan.configuration, f"{count} network{'s' if count > 1 else ''}"]
    if inner.coarse is not None:
        words.append(f"after {inner.coarse.plan.configuration}")
    return ", ".join(word for word in words if word)


def _show_plan(args: argparse.Namespace, plan: Plan) -> int:
    from vesalius.cli.plan import print_plan

    if args.json:
        print(json.dumps({"network": _network(plan)}))
        return 0
    print_plan(plan)
    print()
    _print_network(_network(plan))
    return 0


def _print_network(network: dict[str, Any]) -> None:
    def by(sizes: Any) -> str:
        return " × ".join(map(str, sizes))

    print(f"{'network':14} {network['architecture']}, {network['parameters']:,} parameters")
    field = network["receptive_field"]
    seen = "the whole patch" if field is None else f"{by(field)} voxels"
    print(f"{'field':14} {seen} seen by each output voxel")
    print(f"{'stride':14} {by(network['divisor'])}: patches are multiples of it")
    print(f"{'cost':14} {network['multiply_adds'] / 1e9:.2f} billion multiply-adds a patch")
    print(f"{'memory':14} {network['activation_bytes'] / 2**30:.2f} GiB of activations a training step")


def _show_series(args: argparse.Namespace, series: Any) -> int:
    if args.json:
        rows = [{"key": s.key, "modality": s.modality, "images": s.images, "shape": s.shape} for s in series]
        print(json.dumps({"series": rows}))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("series", "modality", "description", "images", "shape", "spacing mm", box=None, pad_edge=False)
    for s in series:
        shape = " × ".join(map(str, s.shape)) if s.shape else ""
        spacing = " × ".join(f"{x:.3g}" for x in s.spacing_mm) if s.spacing_mm else ""
        table.add_row(s.key, s.modality, s.description, str(s.images), shape, spacing)
    Console(highlight=False, markup=False).print(table)
    print("choose one with --series")
    return 0


def _show_image(args: argparse.Namespace, name: str, image: Volume) -> int:
    grid, meta = image.grid, image.meta
    low, high = (float(v) for v in (image.array.min(), image.array.max()))
    told = {
        "shape": list(grid.shape),
        "channels": image.channels,
        "type": str(image.array.dtype),
        "spacing_mm": list(grid.spacing_mm) if meta.calibrated else None,
        "origin_mm": list(grid.origin_mm) if meta.calibrated else None,
        "axes": grid.axis_codes if meta.calibrated else None,
        "modality": meta.modality,
        "unit": meta.unit,
        "lowest": low,
        "highest": high,
        "notes": list(meta.notes),
    }
    if args.json:
        print(json.dumps({"image": name, **told}))
        return 0
    for key, value in told.items():
        if isinstance(value, list) and key != "notes":
            value = " × ".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in value)
        if key == "notes":
            for note in meta.notes:
                print(f"{'note':12} {note}")
        elif value not in (None, ""):
            print(f"{key:12} {value}")
    return 0
