"""Arguments that several verbs share, and what they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vesalius.cli.admission import add_admission, read_admission

if TYPE_CHECKING:
    from collections.abc import Callable

    from vesalius.image import Dataset, Labels
    from vesalius.plan import Budget

# As in `vesalius.plan.Network` and `vesalius.nets.specs.encoder.Encoder`, without their imports.
NETWORKS = (
    "unet", "residual_unet", "attention_unet", "recurrent_unet", "encoder_unet", "fcn", "cnn", "segresnet",
    "swin_unetr", "unetr", "mednext",
)  # fmt: skip
ENCODERS = ("vgg16", "resnet18", "resnet34", "resnet50", "googlenet")
# As in `vesalius.predict.backends`.
BACKENDS = (
    "torch-float32", "torch-bfloat16", "torch-compiled", "openvino-float32", "openvino-bfloat16", "onnxruntime",
)  # fmt: skip


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """FOLDER and how it is arranged."""
    parser.add_argument("folder", metavar="FOLDER", help="the data set: a folder, or a manifest (CSV)")
    parser.add_argument(
        "--layout",
        default="auto",
        help="how it is arranged: auto (default), manifest, nnunet, decathlon, pairs, suffixes or images",
    )
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help="which files or folder hold the references when there are several, for example lobes for x_lobes.nii.gz",
    )
    parser.add_argument(
        "--patient-pattern",
        metavar="RE",
        help="regular expression that finds the patient in a case's name: its first group, or all that it matches",
    )
    add_admission(parser)


def add_mirroring(parser: argparse.ArgumentParser) -> None:
    """Over which mirror images logits are averaged."""
    mirroring = parser.add_mutually_exclusive_group()
    mirroring.add_argument("--mirror", action="store_true", default=None, help="average over all mirror images")
    mirroring.add_argument(
        "--mirror-opposite",
        dest="mirror",
        action="store_const",
        const="opposite",
        help="over the image and its opposite, mirrored on all axes at once",
    )
    mirroring.add_argument(
        "--no-mirror", dest="mirror", action="store_false", help="do not mirror (all three: as planned)"
    )


def backend(text: str) -> str:
    """An engine's name, or the folder of an exported graph: the type of an argument."""
    from pathlib import Path

    if text in ("auto", *BACKENDS) or Path(text).is_dir():
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is neither auto, {', '.join(BACKENDS)} nor a folder")


def add_output_style(parser: argparse.ArgumentParser) -> None:
    """What every verb has, for a parser below a verb's: left out here, what was said there stays."""
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
    parser.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Names for labels that the data set only numbers, and regions that join them."""
    parser.add_argument(
        "--labels",
        metavar="NAME=VALUE,…",
        help="names of the labels where no dataset.json gives them, for example liver=1,tumour=2; "
        "ignore=255 for what nobody looked at",
    )
    parser.add_argument(
        "--regions",
        metavar="NAME=VALUE+VALUE,…",
        help="unions of labels to be learned and scored, large before small: whole=1+2+3,core=1+3",
    )


def read_dataset(args: argparse.Namespace, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Index the folder that `add_dataset` asked for, every case checked, its patients' consent first."""
    from vesalius.io.layouts import index

    admission = read_admission(args)
    dataset = index(
        args.folder,
        args.layout,
        patient_pattern=args.patient_pattern,
        reference=args.reference,
        progress=progress,
        admit=admission,
    )
    dataset = dataset if admission is None else admission.sign(dataset)
    if getattr(args, "labels", None):
        dataset = _named(dataset, args.labels)
    return _joined(dataset, args.regions) if getattr(args, "regions", None) else dataset


def label_values(text: str) -> dict[str, int]:
    """The names and values of ``--labels``; ``ignore`` is one of the names.

    Raises:
        DataError: The text is something else.

    Example:
        >>> label_values("liver=1, tumour=2")
        {'liver': 1, 'tumour': 2}
    """
    from vesalius.errors import DataError

    pairs = [part.rpartition("=") for part in text.split(",")]
    if not all(name.strip() and value.strip().isdigit() for name, _, value in pairs):
        raise DataError(f"--labels must be written like liver=1,tumour=2, not {text!r}")
    return {name.strip(): int(value) for name, _, value in pairs}


def named_values(text: str) -> Labels:
    """The labels that ``--labels`` names; the value that is called ``ignore`` is the one that nobody looked at.

    Raises:
        DataError: The text is something else.

    Example:
        >>> labels = named_values("liver=1,ignore=9")
        >>> labels.names, labels.ignore
        (('liver',), 9)
    """
    from vesalius.image import Labels

    values = label_values(text)
    ignore = values.pop("ignore", None)
    return Labels.of(values, ignore=ignore)


def size_in_pixels(text: str) -> tuple[int, int]:
    """Columns and rows: the type of an argument.

    Example:
        >>> size_in_pixels("1024x768")
        (1024, 768)
    """
    try:
        columns, rows = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in pixels like 1024x768") from None
    return columns, rows


def three_numbers(text: str, like: str = "numbers like 10,-20.5,30") -> tuple[float, float, float]:
    """Three numbers with commas between: the type of an argument.

    Args:
        text: What was given.
        like: What errors say that it should be.

    Example:
        >>> three_numbers("10,-20.5,30")
        (10.0, -20.5, 30.0)
    """
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three {like}") from None
    return x, y, z


def _named(dataset: Dataset, text: str) -> Dataset:
    """Give the labels of a data set the names that were asked for; the values must be those that it has."""
    from dataclasses import replace

    from vesalius.errors import DataError
    from vesalius.image import Labels

    values = label_values(text)
    old = dataset.labels or Labels(())
    ignore = values.pop("ignore", old.ignore)
    known = old.declared - {0}
    if {*values.values(), *([] if ignore is None else [ignore])} != known:
        raise DataError(
            f"--labels names the values {sorted({*values.values(), *([] if ignore is None else [ignore])})}; "
            f"the data set has {sorted(known)}"
        )
    kept = {region.name: region.values for region in old.regions if set(region.values) <= set(values.values())}
    return replace(dataset, labels=Labels.of(values, regions=kept, ignore=ignore))


def _joined(dataset: Dataset, text: str) -> Dataset:
    """Give a data set the regions that were asked for, in place of those that it declares."""
    from dataclasses import replace

    from vesalius.errors import DataError
    from vesalius.image import Labels, Region

    regions = []
    for part in text.split(","):
        name, _, members = part.rpartition("=")
        values = [value.strip() for value in members.split("+")]
        if not name.strip() or not all(value.isdigit() for value in values):
            raise DataError(f"--regions must be written like whole=1+2+3,core=1+3, not {text!r}")
        regions.append(Region(name.strip(), tuple(int(value) for value in values)))
    return replace(dataset, labels=replace(dataset.labels or Labels(()), regions=tuple(regions)))


def add_budget(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Time, memory, device, network and overrides; gives the group of what says how long to train."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--budget", metavar="TIME", help="time from start to finished bundle: 45s, 10m, 1.5h (30m)")
    length.add_argument("--steps", type=int, help="train for this many steps instead, however long they take")
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory to use at most, for example 8GiB (most of what is free)"
    )
    add_device(parser)
    parser.add_argument(
        "--network", metavar="NAME", choices=NETWORKS, help=f"architecture: {', '.join(NETWORKS)} (the first)"
    )
    parser.add_argument(
        "--configuration",
        metavar="NAME",
        help="what the network sees at once: auto (default), 2d, 2.5d, 3d, 3d_lowres, 3d_cascade",
    )
    parser.add_argument(
        "--encoder", metavar="NAME", choices=ENCODERS, help=f"of encoder_unet and fcn: {', '.join(ENCODERS)}"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override a decision of the plan, for example patch_size=96,96,96 or loss.kind=focal",
    )
    return length


def read_budget(args: argparse.Namespace) -> Budget:
    """The budget that `add_budget` asked for; half an hour when nothing is said."""
    from vesalius.plan import Budget, parse_memory, parse_time

    time_s = None if args.steps is not None else parse_time(args.budget or "30m")
    memory = parse_memory(args.memory) if args.memory else None
    return Budget(time_s=time_s, steps=args.steps, memory_gib=memory, device=args.device)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where to compute."""
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")


def age_s() -> float:
    """Seconds since this process began: loading libraries counts into a budget, too."""
    import time

    import psutil

    return max(0.0, time.time() - float(psutil.Process().create_time()))
