"""``vesalius import nnunet|monai MODEL -o BUNDLE``: what others trained, as a bundle."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vesalius.bundle import Bundle

HELP = "turn a model that nnU-Net or MONAI trained into a segmenter; nothing in it is run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius import``."""
    parser.add_argument("kind", choices=("nnunet", "monai"), metavar="KIND", help="who trained it: nnunet or monai")
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="nnunet: the folder with plans.json, dataset.json and fold_0 …; monai: a bundle's folder or zip",
    )
    parser.add_argument("-o", "--output", required=True, metavar="BUNDLE", help="the folder to write")
    parser.add_argument("--folds", metavar="0,1|all", help="nnunet: which folds to take (every one that is there)")
    parser.add_argument(
        "--checkpoint", choices=("final", "best"), help="nnunet: the last weights, or those that did best (final)"
    )
    parser.add_argument("--configuration", metavar="NAME", help="nnunet: 2d, 3d_fullres …, where there are several")


def run(args: argparse.Namespace) -> int:
    """Import it, write it, and say what it is."""
    bundle = _imported(args)
    place = bundle.save(args.output, precision="single")
    plan = bundle.plan
    told = {
        "output": str(place),
        "from": bundle.provenance.get("imported_from"),
        "channels": list(plan.channels),
        "labels": {label.name: label.value for label in plan.labels.labels},
        "regions": [region.name for region in plan.labels.regions],
        "configuration": plan.configuration,
        "members": len(bundle.members),
    }
    if args.json:
        print(json.dumps(told))
        return 0
    print(f"{place}  {bundle.card.name}: {', '.join(plan.labels.names)} in {', '.join(plan.channels)}")
    return 0


def _imported(args: argparse.Namespace) -> Bundle:
    from vesalius.errors import BundleError

    if args.kind == "nnunet":
        from vesalius.export.nnunet import import_nnunet

        return import_nnunet(
            Path(args.model),
            folds=_folds(args.folds),
            checkpoint=args.checkpoint or "final",
            configuration=args.configuration,
        )
    from vesalius.export.monai import import_monai

    given = [name for name in ("folds", "checkpoint", "configuration") if getattr(args, name) is not None]
    if given:
        raise BundleError(f"--{given[0]} is for nnU-Net's models; a MONAI bundle has none")
    return import_monai(Path(args.model))


def _folds(text: str | None) -> Sequence[int] | Literal["all"] | None:
    from vesalius.errors import BundleError

    if text is None or text == "all":
        return None if text is None else "all"
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise BundleError(f"--folds must be written like 0,1 or be 'all', not {text!r}") from None
