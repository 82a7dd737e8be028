"""What ``vesalius picture`` shows: the image, what is drawn over it, and in which greys."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from vesalius.image import LabelMap, Volume
    from vesalius.mesh import Surface
    from vesalius.report.scene import Scene
    from vesalius.transform import GreyChannel

_DRAWN = ("both", "outline", "tint", "none")


def add_channel(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """The image's series and channel."""
    parser.add_argument("--series", help="which series of a DICOM folder the image is")
    parser.add_argument(
        "--channel", help="of an image of several, or of several time points: luminance, mean, or its number from 0"
    )


def add_window(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """The greys of an image."""
    parser.add_argument(
        "--window",
        metavar="NAME",
        help="of a CT: soft-tissue, lung, bone, brain, mediastinum, abdomen, liver, …; or WIDTH/LEVEL, like 400/40 "
        "(CT soft-tissue; else, and of projections, 1st to 99.5th percentile)",
    )


def add_scene(parser: argparse.ArgumentParser) -> None:
    """The image's series and channel, its greys, and what lies over it."""
    add_channel(parser)
    look = parser.add_argument_group("how it looks")
    add_window(look)
    look.add_argument("--inverted", action="store_true", help="high values dark, as PET is often shown")
    look.add_argument(
        "--convention",
        choices=("radiological", "neurological"),
        default="radiological",
        help="the patient's right on the left (radiological), or on the right, which the picture tells",
    )
    over = parser.add_argument_group("what lies over it")
    over.add_argument("--seg", metavar="SEG", help="a label map, a DICOM SEG or an RT structure set")
    over.add_argument("--labels", metavar="NAME=VALUE,…", help="what its values mean, where the file does not say")
    over.add_argument(
        "--structure", metavar="NAME", action="append", help="only this label or region; may be given several times"
    )
    over.add_argument("--draw", choices=_DRAWN, help="how: both (the default; with --within none), outline, tint, none")
    over.add_argument(
        "--surface",
        metavar="MESH",
        action="append",
        default=[],
        help="a mesh (.stl, .3mf, .ply, .obj, .glb), cut by each slice; may be given several times",
    )


def read_scene(args: argparse.Namespace) -> Scene:
    """Read all that is shown.

    Raises:
        DataError: Arguments do not go together, or the image has several channels and none was chosen.
        GeometryError: The label map lies elsewhere.
    """
    from vesalius.errors import DataError
    from vesalius.report.scene import Scene

    if args.seg is None and (args.structure or args.labels or args.draw or getattr(args, "within", False)):
        raise DataError("--structure, --labels, --draw and --within are of a segmentation: name it with --seg")
    image = read_image(args)
    window = window_of(args.window, image)
    labels = None if args.seg is None else _labels(args, image)
    surfaces = tuple(surface for path in args.surface for surface in _surfaces(path))
    drawn = args.draw or ("none" if args.within else "both")
    return Scene(
        image,
        window,
        fill=labels if drawn in ("both", "tint") else None,
        contour=labels if drawn in ("both", "outline") else None,
        hidden=labels if drawn == "none" else None,
        surfaces=surfaces,
        convention=args.convention,
        inverted=args.inverted,
    )


def chosen_values(scene: Scene) -> tuple[int, ...] | None:
    """The values of the structures that are there; none without a segmentation, or of one that is empty."""
    if scene.drawn is None:
        return None
    ignored = scene.drawn.labels.ignore
    return tuple(value for value in scene.drawn.counts() if value not in (0, ignored)) or None


def read_image(args: argparse.Namespace) -> Volume:
    """The image in one channel or in colours; a PET in SUV where its header allows it.

    Raises:
        DataError: It has several channels, and none was chosen.
    """
    from vesalius.errors import DataError
    from vesalius.io import read
    from vesalius.report.display import is_colour
    from vesalius.transform import suv
    from vesalius.transform.grey import grey

    image = read(args.image, series=args.series)
    if args.channel is not None:
        # `grey` words what is wrong with a name that it does not know.
        image = grey(image, channel=int(args.channel) if args.channel.isdigit() else cast("GreyChannel", args.channel))
    elif image.channels > 1 and not is_colour(image):
        raise DataError(
            f"the image has {image.channels} channels or time points: choose one with --channel, 0 to "
            f"{image.channels - 1}"
        )
    return suv(image) if image.meta.modality == "PT" and image.meta.suv_factor is not None else image


def window_of(text: str | None, image: Volume) -> tuple[float, float]:
    """The values that ``--window`` shows as black and as white.

    Raises:
        DataError: It is no window, or not of such an image.
    """
    from vesalius.errors import DataError
    from vesalius.report.display import WINDOWS, named_window, shown_window

    if text is None:
        return shown_window(image, 0)
    if "/" not in text:
        return named_window(text, image)
    try:
        width, level = (float(part) for part in text.split("/"))
    except ValueError:
        width = level = float("nan")
    if not (0 < width < float("inf") and abs(level) < float("inf")):
        raise DataError(f"--window is WIDTH/LEVEL, like 400/40, or one of {', '.join(WINDOWS)}, not {text!r}")
    return level - width / 2, level + width / 2


def _labels(args: argparse.Namespace, image: Volume) -> LabelMap:
    """The structures that are drawn, on the image's grid."""
    import numpy as np

    from vesalius.cli.surfaces import named_labels
    from vesalius.errors import DataError, GeometryError
    from vesalius.image import LabelMap
    from vesalius.transform import resample

    labels = named_labels(args.seg, args.labels, grid=image.grid)
    if args.structure:
        values = sorted({value for name in args.structure for value in labels.labels.members(name)})
        array = np.where(np.isin(labels.array, values), labels.array, 0)
        if not array.any():
            raise DataError(f"no voxel of {', '.join(args.structure)}")
        labels = LabelMap(array, labels.grid, labels.labels)
    if labels.grid.is_close(image.grid, tolerance_mm=0.1):
        return labels
    if labels.grid.ndim != image.grid.ndim:
        raise GeometryError(f"the segmentation is {labels.grid.ndim}D and the image is {image.grid.ndim}D")
    if labels.grid.ndim == 2 and labels.grid.shape == image.grid.shape:
        return LabelMap(labels.array, image.grid, labels.labels)  # a picture's file has no place in space
    found = resample(labels, image.grid)
    if labels.array.any() and not found.array.any():
        raise GeometryError("the structures lie outside the image: it is another region, or another patient's")
    if not args.json:
        print("vesalius: the segmentation lies on another grid; each voxel has its nearest label", file=sys.stderr)
    return found


def _surfaces(path: str) -> tuple[Surface, ...]:
    from vesalius.mesh.files import read_mesh

    return read_mesh(path)
