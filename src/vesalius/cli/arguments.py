"""Arguments that several verbs share, and what they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vesalius.image import Dataset
    from vesalius.plan import Budget


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


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Names for labels that the data set only numbers."""
    parser.add_argument(
        "--labels",
        metavar="NAME=VALUE,…",
        help="names of the labels where no dataset.json gives them, for example liver=1,tumour=2",
    )


def read_dataset(args: argparse.Namespace, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Index the folder that `add_dataset` asked for, every case checked."""
    from vesalius.io.layouts import index

    dataset = index(
        args.folder,
        args.layout,
        patient_pattern=args.patient_pattern,
        reference=args.reference,
        progress=progress,
    )
    return _named(dataset, args.labels) if getattr(args, "labels", None) else dataset


def _named(dataset: Dataset, text: str) -> Dataset:
    """Give the labels of a data set the names that were asked for; the values must be those that it has."""
    from dataclasses import replace

    from vesalius.errors import DataError
    from vesalius.image import Labels

    pairs = [part.rpartition("=") for part in text.split(",")]
    if not all(name.strip() and value.strip().isdigit() for name, _, value in pairs):
        raise DataError(f"--labels must be written like liver=1,tumour=2, not {text!r}")
    old = dataset.labels or Labels(())
    named = Labels.of({name.strip(): int(value) for name, _, value in pairs}, ignore=old.ignore)
    if set(named.values) != set(old.values):
        raise DataError(f"--labels names the values {sorted(named.values)}; the data set has {sorted(old.values)}")
    return replace(dataset, labels=named)


def add_budget(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Time, memory, device, network and overrides; gives the group of what says how long to train."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--budget", metavar="TIME", help="time from start to finished bundle: 45s, 10m, 1.5h (30m)")
    length.add_argument("--steps", type=int, help="train for this many steps instead, however long they take")
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory to use at most, for example 8GiB (most of what is free)"
    )
    add_device(parser)
    parser.add_argument("--network", choices=("unet", "fcn", "cnn"), help="architecture (unet)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override a decision of the plan, for example patch_size=96,96,96 or optimisation.learning_rate=0.01",
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
