"""``vesalius measure LABELS [--image IMAGE] [-o TABLE]``: sizes of structures, brightness, a heart's beat."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vesalius.cli.further import add_further, check_further, measure_further, print_further, write_tables

if TYPE_CHECKING:
    from vesalius.cli.measuring import Further
    from vesalius.image import LabelMap, Size, Volume
    from vesalius.metrics.ejection import Ejection
    from vesalius.transform import GreyChannel

HELP = "measure the structures of a label map: volume, long and short axis, mean and spread of HU or SUV"

_WRITTEN = (".csv", ".json", ".dcm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius measure``."""
    parser.add_argument(
        "labels", metavar="LABELS", help="a label file, a DICOM SEG or an RT structure set (needs --source or --image)"
    )
    parser.add_argument(
        "--image", metavar="IMAGE", help="what values are taken from: HU of a CT, SUV of a PET read from DICOM"
    )
    parser.add_argument("--series", help="which series of a DICOM folder the image is")
    parser.add_argument("--channel", help="of an image of several: luminance, mean, or its number from 0")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="a table (.csv, .json), or a DICOM structured report (.dcm, needs --source)",
    )
    parser.add_argument("--source", metavar="SERIES", help="the DICOM series that the labels were drawn on")
    parser.add_argument("--source-series", metavar="SERIES", help="which series of the folder --source that is")
    parser.add_argument(
        "--segmentation",
        metavar="SEG",
        help="the DICOM SEG that the report refers to (LABELS, if that is one)",
    )
    parser.add_argument(
        "--pixel-size", type=float, metavar="MM", help="side of a pixel, for LABELS in a format without a scale (PNG)"
    )
    parser.add_argument(
        "--circumference",
        action="store_true",
        help="of each structure in 2D, that of the ellipse that fits its outline: of a fetal head",
    )
    parser.add_argument(
        "--end-systole",
        metavar="LABELS",
        help="LABELS is a heart at end-diastole, and this the same at end-systole: stroke volume, ejection fraction",
    )
    parser.add_argument("--cavity", metavar="NAME", help="which label is the blood in the ventricle (the only one)")
    add_further(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, and write it."""
    from vesalius.metrics.size import measure
    from vesalius.transform import resample

    _check(args)
    image = None if args.image is None else _image(args)
    labels = _labels(args, image)
    if image is not None and not image.grid.is_close(labels.grid, tolerance_mm=0.01):
        _require_cover(labels, image)
        image = resample(image, labels.grid)
        if not args.json:
            print("vesalius: the image lies on another grid than the labels, and was interpolated", file=sys.stderr)
    sizes = measure(labels, image)
    if args.circumference:
        from vesalius.metrics.ellipse import measure_circumferences

        sizes = measure_circumferences(sizes, labels)
    beat = None if args.end_systole is None else _ejection(args, labels)
    further = measure_further(args, labels, image, sizes)
    sizes = further.sizes
    told: dict[str, Any] = {} if beat is None else {"ejection": _beat_row(beat)}
    told |= further.tables
    if args.output:
        _write(args, further, told)
    if args.json:
        from vesalius.report.sizes import size_row

        rows = [size_row(size, further.columns) for size in sizes]
        print(json.dumps({"sizes": rows, "output": args.output, **told}))
    else:
        _print(sizes)
        print_further(further)
        if beat is not None:
            print(
                f"end-diastole {beat.end_diastolic_ml:.1f} ml, end-systole {beat.end_systolic_ml:.1f} ml: "
                f"stroke volume {beat.stroke_volume_ml:.1f} ml, "
                f"ejection fraction {beat.ejection_fraction_percent:.1f} %"
            )
        if args.output:
            print(f"written to {args.output}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be written before anything is read."""
    from vesalius.errors import DataError, FormatError

    for name in (args.labels, args.end_systole):
        if name is not None and not Path(name).is_file():
            raise DataError(f"{Path(name).name}: there is no such file; LABELS is one label map")
    suffix = Path(args.output).suffix.lower() if args.output else ""
    if args.output and suffix not in _WRITTEN:
        raise FormatError(f"{Path(args.output).name}: sizes are written as {', '.join(_WRITTEN)}")
    if suffix == ".dcm" and args.source is None:
        raise DataError("a structured report belongs to a patient and a study: name the series with --source")
    if args.segmentation is not None and suffix != ".dcm":
        raise DataError("--segmentation is what a report refers to: it wants -o with a name that ends in .dcm")
    if args.image is None and (args.series is not None or args.channel is not None):
        raise DataError("--series and --channel say which image is meant: they want --image")
    if args.cavity is not None and args.end_systole is None and args.wall is None:
        raise DataError("--cavity is a ventricle whose beat or wall is measured: it wants --end-systole or --wall")
    if args.end_systole is not None and suffix in (".csv", ".dcm"):
        raise FormatError(f"{Path(args.output).name}: an ejection fraction is written as .json, beside the sizes")
    check_further(args)


def _image(args: argparse.Namespace) -> Volume:
    """The image that values are taken from; a PET in SUV where its header allows it."""
    from vesalius.io import read
    from vesalius.transform import suv
    from vesalius.transform.grey import grey

    image = read(args.image, series=args.series)
    if args.channel is not None:
        # `grey` words what is wrong with a name that it does not know.
        image = grey(image, channel=int(args.channel) if args.channel.isdigit() else cast("GreyChannel", args.channel))
    return suv(image) if image.meta.modality == "PT" and image.meta.suv_factor is not None else image


def _labels(args: argparse.Namespace, image: Volume | None) -> LabelMap:
    """The label map; contours are drawn on the series that they belong to, else on the image."""
    from vesalius.errors import DataError
    from vesalius.io import read_labels

    if _kind(Path(args.labels)) != "structure set":
        labels = read_labels(args.labels)
        if args.pixel_size is None:
            return labels
        from vesalius.transform import with_pixel_size

        return with_pixel_size(labels, args.pixel_size)
    if args.source is not None:
        from vesalius.io.dicom import read_origin

        return read_labels(args.labels, grid=read_origin(args.source, series=args.source_series).grid)
    if image is None:
        raise DataError(
            f"{Path(args.labels).name}: contours have no voxels: name the series they were drawn on with --source"
        )
    return read_labels(args.labels, grid=image.grid)


def _ejection(args: argparse.Namespace, full: LabelMap) -> Ejection:
    """The beat of the ventricle between LABELS and --end-systole."""
    from vesalius.errors import DataError
    from vesalius.io import read_labels
    from vesalius.metrics.ejection import ejection

    empty = read_labels(args.end_systole)
    names = tuple(full.labels.targets())
    if args.cavity is None and len(names) != 1:
        raise DataError(f"say with --cavity which label is the blood in the ventricle: {', '.join(names)}")
    return ejection(full, empty, cavity=names[0] if args.cavity is None else args.cavity)


def _beat_row(beat: Ejection) -> dict[str, float]:
    names = ("end_diastolic_ml", "end_systolic_ml", "stroke_volume_ml", "ejection_fraction_percent")
    return {name: getattr(beat, name) for name in names}


def _kind(path: Path) -> str:
    """What DICOM object a file is; empty for other files."""
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return ""
    from vesalius.io.dicom.objects import kind_of

    return kind_of(path)


def _require_cover(labels: LabelMap, image: Volume) -> None:
    """Refuse an image that does not show all that is to be measured: beyond it, values would be made up."""
    import numpy as np

    from vesalius.errors import GeometryError

    if image.grid.ndim != labels.grid.ndim:
        raise GeometryError(f"the labels are {labels.grid.ndim}D and the image is {image.grid.ndim}D")
    places = image.grid.to_index(labels.grid.to_points(np.argwhere(labels.array)))
    if ((places < -0.5 - 1e-6) | (places > np.asarray(image.grid.shape) - 0.5 + 1e-6)).any():
        raise GeometryError("the labels reach beyond the image: it is another region, or another patient's")


def _write(args: argparse.Namespace, further: Further, told: dict[str, Any]) -> None:
    from vesalius import __version__
    from vesalius.report.sizes import write_sizes_csv, write_sizes_json

    suffix = Path(args.output).suffix.lower()
    if suffix == ".csv":
        write_sizes_csv(further.sizes, args.output, further=further.columns)
        write_tables(further, args.output)
    elif suffix == ".json":
        provenance = {"labels": Path(args.labels).name, "made by": f"vesalius {__version__}"}
        if args.image is not None:
            provenance["image"] = Path(args.image).name
        write_sizes_json(further.sizes, args.output, provenance=provenance, further=further.columns, more=told)
    else:
        from vesalius.io.dicom import read_origin, write_report

        own = args.labels if _kind(Path(args.labels)) in ("segmentation", "fractions") else None
        origin = read_origin(args.source, series=args.source_series)
        write_report((*further.sizes, *further.groups), args.output, origin, segmentation=args.segmentation or own)


def _print(sizes: tuple[Size, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    unit = next((size.unit for size in sizes if size.unit), "")
    columns = {
        "voxels": "voxels",
        "volume_ml": "ml",
        "area_mm2": "mm²",
        "long_axis_mm": "long, mm",
        "short_axis_mm": "short, mm",
        "circumference_mm": "around, mm",
        "mean": f"mean, {unit}" if unit else "mean",
        "sd": "sd",
        "minimum": "min",
        "maximum": "max",
    }
    known = [name for name in columns if any(getattr(size, name) is not None for size in sizes)]
    table = Table("structure", box=None, pad_edge=False)
    for name in known:
        table.add_column(columns[name], justify="right")
    for size in sizes:
        values = [getattr(size, name) for name in known]
        cells = ["" if v is None else f"{v:,}" if isinstance(v, int) else f"{v:.4g}" for v in values]
        table.add_row(size.name, *cells)
    Console(highlight=False, markup=False).print(table)
