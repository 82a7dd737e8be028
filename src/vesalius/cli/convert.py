"""``vesalius convert A B``: from every format that is read to every format that is written, DICOM objects included."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.arguments import label_values, named_values

if TYPE_CHECKING:
    from vesalius.image import Grid, LabelMap, Volume
    from vesalius.io.dicom import Origin
    from vesalius.transform.placement import Picture

HELP = "convert images, label maps and DICOM objects between all formats that are known"

KINDS = {
    "image": "values as they are",
    "labels": "a label map",
    "seg": "DICOM SEG, binary",
    "seg-fractional": "DICOM SEG that holds shares: of probabilities, a channel a label",
    "seg-labelmap": "DICOM label map SEG: small, and refused by many archives still",
    "rtstruct": "DICOM RT structure set: contours",
    "parametric-map": "DICOM Parametric Map: floating point",
    "capture": "DICOM secondary capture: the labels drawn into the images of the source",
    "series": "a folder with a DICOM image series",
}
"""What B can be: the values of ``--to``."""

_DERIVED = ("seg", "seg-fractional", "seg-labelmap", "rtstruct", "parametric-map", "capture")
_MODALITIES = ("CT", "MR", "PT", "US", "XR", "RGB", "OT")  # as in `vesalius.image.Modality`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius convert``."""
    parser.add_argument("a", metavar="A", help="an image, a label map, a DICOM file or folder")
    parser.add_argument("b", metavar="B", help="the result: its suffix says the format; none for a folder of DICOM")
    parser.add_argument(
        "--to",
        metavar="KIND",
        choices=tuple(KINDS),
        help=f"what B is, where its name leaves it open: {', '.join(KINDS)}",
    )
    parser.add_argument("--series", metavar="SERIES", help="which series of a DICOM folder A")
    parser.add_argument(
        "--source",
        metavar="IMAGE",
        help="the DICOM series that A was made from: for DICOM objects, which go to its study, and for the grid of an "
        "RT structure set",
    )
    parser.add_argument("--source-series", metavar="SERIES", help="which series of a source that holds several")
    parser.add_argument(
        "--labels", metavar="NAME=VALUE,…", help="A is a label map, and this is what its values mean: liver=1,tumour=2"
    )
    parser.add_argument(
        "--binarise-above", type=float, metavar="VALUE", help="A is a mask: what is brighter than this is label 1"
    )
    parser.add_argument(
        "--pixel-size", type=float, metavar="MM", help="side of a pixel of A, a picture in a format without a scale"
    )
    parser.add_argument(
        "--regions", action="store_true", help="write the regions of the labels as segments, which may overlap"
    )
    parser.add_argument(
        "--modality", choices=_MODALITIES, help="of an image that does not say: decides which DICOM images it becomes"
    )


@dataclass
class _Work:
    """What is asked for, the source once it is read, and what there is to tell."""

    args: argparse.Namespace
    a: Path
    b: Path
    to: str
    notes: list[str] = field(default_factory=list)
    _origin: Origin | None = None

    @property
    def origin(self) -> Origin:
        """The series of ``--source``, read once."""
        from vesalius.errors import DataError
        from vesalius.io.dicom import read_origin

        if self._origin is None:
            if self.args.source is None:
                raise DataError(
                    f"{self.b.name}: what is derived from a DICOM series belongs to its patient and study: name that "
                    "series with --source"
                )
            self._origin = read_origin(self.args.source, series=self.args.source_series)
        return self._origin


def run(args: argparse.Namespace) -> int:
    """Read A, bring it to the source's grid where that is needed, write B."""
    from vesalius.errors import DataError

    a, b = Path(args.a), Path(args.b)
    if not a.exists():
        raise DataError(f"{a.name}: there is no such file or folder")
    if b.resolve() == a.resolve():
        raise DataError(f"the result would replace {a.name} itself: choose another name")
    work = _Work(args, a, b, _kind(args, a, b))
    _convert(work)
    if args.json:
        print(json.dumps({"output": args.b, "kind": work.to, "notes": work.notes}))
        return 0
    print(f"{args.b}  {KINDS[work.to]}")
    for note in dict.fromkeys(work.notes):
        print(f"  {note}")
    return 0


# --- what it is to be -------------------------------------------------------------------------------------------------


def _kind(args: argparse.Namespace, a: Path, b: Path) -> str:
    """What B is to be: as it was said, or as its name and A leave no doubt of."""
    from vesalius.errors import DataError, FormatError, unknown_name
    from vesalius.io import FORMATS, format_of, holds_labels

    suffix = None if b.is_dir() else format_of(b)
    if args.to is not None:
        _check(args.to, b, suffix)
        return str(args.to)
    if suffix is None:
        if b.suffix and not b.is_dir():
            raise FormatError(f"{b.name}: {unknown_name('suffix', b.suffix.lower(), FORMATS)}")
        return "series"
    labelled = args.labels is not None or args.binarise_above is not None or holds_labels(a)
    if suffix != ".dcm":
        return "labels" if labelled else "image"
    if not labelled:
        known = ", ".join(_DERIVED)
        raise DataError(f"{b.name}: nothing says what {a.name} shows: say with --to what to write ({known}), or with "
                        "--labels what its values mean")  # fmt: skip
    return "seg"


def _check(to: str, b: Path, suffix: str | None) -> None:
    from vesalius.errors import FormatError

    if to in _DERIVED and suffix != ".dcm":
        raise FormatError(f"{b.name}: {KINDS[to].partition(':')[0]} is a .dcm file")
    if to == "series" and suffix is not None:
        raise FormatError(f"{b.name}: a DICOM series is a folder: name it without a suffix")
    if to in ("image", "labels") and suffix in (None, ".dcm"):
        raise FormatError(f"{b.name}: name a file in a format for {to}, for example .nii.gz, or say --to seg or series")


# --- the work ---------------------------------------------------------------------------------------------------------


def _convert(work: _Work) -> None:
    from vesalius.io import write

    if work.to == "image":
        write(_image(work), work.b)
    elif work.to == "series":
        _write_series(work)
    elif work.to == "labels":
        write(_labels(work, None), work.b)
    elif work.to == "parametric-map":
        from vesalius.io.dicom import write_parametric_map

        write_parametric_map(_on(work, _image(work)), work.b, work.origin)
    elif work.to == "capture":
        from vesalius.io import read
        from vesalius.io.dicom import draw, write_capture

        labels = _on(work, _labels(work, work.origin.grid))
        image = read(work.args.source, series=work.args.source_series)
        write_capture(draw(image, labels), work.b, work.origin)
    else:
        _write_structures(work)


def _write_series(work: _Work) -> None:
    from vesalius.io.dicom import write_series

    lost = write_series(_image(work), work.b, origin=work.origin if work.args.source is not None else None)
    if lost:
        work.notes.append(f"values are stored in 65,536 steps and differ from the original by up to {lost:.3g}")


def _write_structures(work: _Work) -> None:
    """Labels to an object that refers to the source."""
    from vesalius.io.dicom import write_rtstruct, write_seg

    origin, regions = work.origin, work.args.regions
    if work.to == "seg-fractional" and (shares := _shares(work)) is not None:
        labels, probabilities = shares
        write_seg(labels, work.b, origin, kind="fractional", probabilities=probabilities)
        return
    labels = _on(work, _labels(work, origin.grid))
    if work.to == "rtstruct":
        write_rtstruct(labels, work.b, origin, regions=regions)
    else:
        kinds: dict[str, Any] = {"seg": "binary", "seg-fractional": "fractional", "seg-labelmap": "labelmap"}
        write_seg(labels, work.b, origin, kind=kinds[work.to], regions=regions)


def _image(work: _Work) -> Volume:
    from vesalius.io import read

    image = read(work.a, series=work.args.series)
    work.notes.extend(image.meta.notes)
    if work.args.modality is not None:
        image = replace(image, meta=replace(image.meta, modality=work.args.modality))
    return _scaled(work, image)


def _labels(work: _Work, grid: Grid | None) -> LabelMap:
    from vesalius.io import is_dicom, read_labels

    args = work.args
    if grid is None and args.source is not None:
        grid = work.origin.grid
    named = None if args.labels is None else named_values(args.labels)
    found = read_labels(work.a, named, binarise_above=args.binarise_above, grid=grid)
    if found.labels.regions and is_dicom(work.a):
        joined = ", ".join(region.name for region in found.labels.regions)
        work.notes.append(
            f"structures that overlap are kept: each combination is a label, regions join them ({joined})"
        )
    return _scaled(work, found)


def _scaled(work: _Work, x: Picture) -> Picture:
    """A picture with the size of its pixels, where that was said."""
    from vesalius.transform import with_pixel_size

    return x if work.args.pixel_size is None else with_pixel_size(x, work.args.pixel_size)


def _shares(work: _Work) -> tuple[LabelMap, Volume] | None:
    """Probabilities of A, a channel a label, and the labels that they make likeliest; None where A holds labels."""
    import numpy as np

    from vesalius.errors import DataError
    from vesalius.image import LabelMap, Labels
    from vesalius.io import holds_labels

    if holds_labels(work.a):
        return None
    image = _image(work)
    if image.array.dtype.kind != "f":
        return None
    image = _on(work, image)
    values = (
        label_values(work.args.labels) if work.args.labels else {f"label {n + 1}": n + 1 for n in range(image.channels)}
    )
    if len(values) != image.channels:
        raise DataError(f"there are {image.channels} channels of probabilities, and --labels names {len(values)}")
    numbers = np.array([*values.values()])
    likeliest = np.where(image.array.max(0) >= 0.5, numbers[image.array.argmax(0)], 0)
    return LabelMap(likeliest.astype(np.uint16), image.grid, Labels.of(values)), image


def _on(work: _Work, x: Any) -> Any:
    """What lies on another grid than the source, resampled to it."""
    from vesalius.transform import resample

    grid = work.origin.grid
    if x.grid.is_close(grid, tolerance_mm=0.01):
        return x
    work.notes.append(f"resampled to the grid of the source, {' × '.join(map(str, grid.shape))}")
    return resample(x, grid)
