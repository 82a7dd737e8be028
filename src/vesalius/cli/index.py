"""``vesalius index FOLDER``: what a data set holds, what of it can be used, and what cannot."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.admission import read_admission
from vesalius.cli.arguments import add_dataset
from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.image import Dataset
    from vesalius.io.layouts import Survey

HELP = "recognise a data set, check every case, and say what is used, what is left out and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius index``."""
    add_dataset(parser)
    parser.add_argument("--no-check", action="store_true", help="do not read the images, only find them")
    parser.add_argument("--manifest", metavar="OUT.csv", help="write the cases that can be used as a manifest")


def run(args: argparse.Namespace) -> int:
    """Index the folder and print what was found."""
    from vesalius.errors import DataError
    from vesalius.image import Labels
    from vesalius.io.layouts import survey
    from vesalius.io.layouts.load import load_case
    from vesalius.io.layouts.manifest import write_manifest

    with counting("reading", shown=not args.json) as progress:
        found = survey(
            args.folder,
            args.layout,
            patient_pattern=args.patient_pattern,
            reference=args.reference,
            check=not args.no_check,
            progress=progress,
            admit=read_admission(args),
        )
    if args.manifest:
        if found.dataset.load is not load_case:
            raise DataError(
                f"the layout {found.dataset.layout} reads its cases in a way of its own, which a manifest cannot hold: "
                "give the folder itself to plan and fit"
            )
        write_manifest(found.dataset, Path(args.manifest))
        labels = found.dataset.labels
        if labels is not None and labels.names not in (("foreground",), Labels.of(labels.values).names):
            print("the manifest does not hold the labels' names: put dataset.json beside it", file=sys.stderr)
    if args.json:
        print(json.dumps(_as_json(found)))
    else:
        _print_tables(found)
        if args.manifest:
            print(f"manifest    {args.manifest}")
    return 0


def _as_json(found: Survey) -> dict[str, Any]:
    dataset = found.dataset
    return {
        "layout": dataset.layout,
        "channels": dataset.channels,
        "binarise_above": dataset.binarise_above,
        "labels": [
            {"name": name, "values": values, "cases": cases, "voxels": voxels}
            for name, values, cases, voxels in _label_rows(found)
        ],
        "patients": len(dataset.patients),
        "cases": [
            {
                "id": record.id,
                "patient": record.patient,
                "images": [str(path) for path in record.images],
                "reference": None if record.reference is None else str(record.reference),
                "groups": dict(record.groups),
                **_image_json(found, record.id),
            }
            for record in dataset.records
        ],
        "left_out": [{"id": case.id, "reason": case.reason} for case in dataset.left_out],
        "notes": dataset.notes,
    }


def _image_json(found: Survey, case: str) -> dict[str, Any]:
    image = found.facts[case].image
    if image is None:
        return {}
    spacing = image.spacing_mm if image.calibrated else None
    return {"modality": image.modality, "shape": image.shape, "spacing_mm": spacing}


def _label_rows(found: Survey) -> Iterator[tuple[str, tuple[int, ...], int | None, int | None]]:
    """Each label and region: name, values, cases that show it and voxels in all of them."""
    labels = found.dataset.labels
    for name, values in (labels.targets() if labels is not None else {}).items():
        if not found.label_voxels:
            yield name, values, None, None
            continue
        voxels = [sum(counts.get(value, 0) for value in values) for counts in found.label_voxels.values()]
        yield name, values, sum(count > 0 for count in voxels), sum(voxels)


def _print_tables(found: Survey) -> None:
    from rich.console import Console
    from rich.table import Table

    dataset = found.dataset
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"layout      {dataset.layout}")
    console.print(f"cases       {len(dataset)} used, {len(dataset.left_out)} left out")
    console.print(f"patients    {len(dataset.patients)}")
    console.print(f"channels    {', '.join(dataset.channels)}")
    for line in _geometry(found):
        console.print(line)
    if dataset.labels is not None:
        table = Table("label", "value", "cases", "voxels", "share of voxels", box=None, pad_edge=False)
        everything = sum(sum(counts.values()) for counts in found.label_voxels.values())
        for name, values, cases, voxels in _label_rows(found):
            share = f"{voxels / everything:.3%}" if voxels is not None else ""
            counts = ("" if cases is None else str(cases), "" if voxels is None else f"{voxels:,}")
            table.add_row(name, ", ".join(map(str, values)), *counts, share)
        console.print()
        console.print(table)
    console.print()
    for note in dataset.notes:
        console.print(f"note: {note}")
    if dataset.layout == "visits":
        for patient, folders in _time_points(dataset).items():
            console.print(f"order: {patient}: {', '.join(folders)}")
    for reason, names in _by_reason(dataset).items():
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        console.print(f"left out: {shown}: {reason}")


def _time_points(dataset: Dataset) -> dict[str, list[str]]:
    """The folders of each patient's time points, the first one first: their order, and no date of a header."""
    found: dict[str, list[str]] = {}
    for patient in dataset.patients:
        images = [record.images[0] for record in dataset.records if record.patient == patient]
        if len(images) > 1:
            shared = Path(os.path.commonpath(images))
            found[patient] = [path.relative_to(shared).parts[0] for path in images]
    return found


def _geometry(found: Survey) -> Iterator[str]:
    images = [known.image for known in found.facts.values() if known.image is not None]
    if not images:
        return
    for size in sorted({len(image.shape) for image in images}):
        yield f"shape       {_spread([image.shape for image in images if len(image.shape) == size], 'd')}"
    spacings = [image.spacing_mm for image in images if image.calibrated]
    yield f"spacing mm  {_spread(spacings, '.3g') if spacings else 'not known: pixels without a physical size'}"
    yield f"modality    {', '.join(sorted({image.modality for image in images}))}"


def _spread(rows: Sequence[Sequence[float]], form: str) -> str:
    """The smallest, median and largest of each axis, or the one value that all share."""
    import statistics

    axes = list(zip(*rows, strict=True))

    def line(of: Callable[[Sequence[float]], float]) -> str:
        return " × ".join(format(of(axis), form) for axis in axes)

    if len(set(rows)) == 1:
        return line(min)
    return f"{line(statistics.median_low)} (median; {line(min)} to {line(max)})"


def _by_reason(dataset: Dataset) -> Mapping[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for case in dataset.left_out:
        reasons.setdefault(case.reason, []).append(case.id)
    return reasons
