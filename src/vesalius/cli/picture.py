"""``vesalius picture IMAGE -o OUT``: slices, montages and projections of an image, with structures drawn over it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.arguments import size_in_pixels, three_numbers
from vesalius.cli.seen import add_scene, chosen_values, read_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vesalius.report.panels import Panel
    from vesalius.report.projections import Projection
    from vesalius.report.scene import Scene
    from vesalius.transform.screen import Direction

HELP = "draw an image: slices, a montage or a projection, with structures over it; a turn as GIF or video"

# As in `vesalius.report` and `vesalius.mesh.rendering`, without their imports.
_PLANES = ("axial", "coronal", "sagittal", "three")
_KINDS = ("maximum", "minimum", "mean")
_SIDES = ("anterior", "posterior", "left", "right", "superior", "inferior")
_FORMATS = (".png", ".gif", ".mp4")
_TOLD = 6  # panels that are named one by one
_SMALLEST, _LARGEST = 64, 8192  # pixels
_SIZES = {".png": (1200, 900), ".gif": (640, 640), ".mp4": (640, 640)}
_MARK = "neurological: the patient's left is on the left"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius picture``."""
    parser.add_argument("image", metavar="IMAGE", help="an image in any format that is read, or a DICOM folder")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a picture (.png); with --project, a turn around the patient, too (.gif, .mp4)",
    )
    add_scene(parser)
    section = parser.add_argument_group("slices")
    section.add_argument(
        "--plane", choices=_PLANES, help="of the slice (three; of a montage axial, of a projection coronal)"
    )
    section.add_argument(
        "--at",
        type=_where,
        metavar="WHERE",
        help="mm along the plane's axis; a point X,Y,Z, mm, LPS; centre or largest, of the structures (left out: their "
        "largest slice, of three planes their centre; without any the image's middle); --at=-30 for negative numbers",
    )
    section.add_argument("--slice", type=int, metavar="N", help="number of the slice, from 1")
    section.add_argument(
        "--normal", type=three_numbers, metavar="X,Y,Z", help="a slanted plane at right angles to this, LPS"
    )
    section.add_argument("--montage", type=int, metavar="N", help="so many slices through the image, or the structures")
    projection = parser.add_argument_group("projections")
    projection.add_argument("--project", choices=_KINDS, help="keep this value of each ray through the image")
    projection.add_argument("--slab", type=float, metavar="MM", help="only a slab of this thickness, at --at")
    projection.add_argument("--within", action="store_true", help="only voxels of the structures count")
    projection.add_argument(
        "--view", choices=_SIDES, help="the patient's side from which one looks, instead of --plane"
    )
    projection.add_argument(
        "--azimuth", type=float, metavar="DEG", help="turned from there: from the front to the left"
    )
    projection.add_argument("--elevation", type=float, metavar="DEG", help="and up")
    projection.add_argument("--frames", type=int, default=36, metavar="N", help="pictures of a turn (36)")
    projection.add_argument("--seconds", type=float, default=3.0, metavar="S", help="that a turn takes (3)")
    parser.add_argument(
        "--size", type=_size, metavar="WxH", help="pixels at most, without the legend (1200x900; of a turn 640x640)"
    )
    parser.add_argument("--plain", action="store_true", help="without letters, scale bar, names and legend")


def run(args: argparse.Namespace) -> int:
    """Read, draw, write."""
    from dataclasses import replace

    _refuse(args)
    scene = read_scene(args)
    _refuse_unplaced(args, scene)
    if args.project is None:
        panels = _panels(args, scene)
    else:
        from vesalius.report.projections import projection_panel, seen_window

        found = _projections(args, scene)
        # Nobody said which values: those that are seen, as rays keep others than most voxels have.
        scene = scene if args.window is not None else replace(scene, window=seen_window(found))
        panels = [projection_panel(scene, one) for one in found]
    columns, rows = _write(args, scene, panels)
    names = [panel.name.replace("\n", ", ") for panel in panels]
    told = {"output": args.output, "size": [columns, rows], "panels": names, "window": list(scene.window)}
    if args.json:
        print(json.dumps(told))
        return 0
    for name in filter(None, names if len(names) <= _TOLD else [f"{names[0]} … {names[-1]}"]):
        print(name)
    ends = f"{scene.window[0]:.4g} to {scene.window[1]:.4g}"
    print(f"{'white to black' if scene.inverted else 'black to white'}: {ends} {scene.volume.meta.unit}".rstrip())
    print(f"written to {args.output}")
    return 0


def _panels(args: argparse.Namespace, scene: Scene) -> list[Panel]:
    """Slices, as they were asked for."""
    from vesalius.report.scene import flat_panel
    from vesalius.report.sections import (
        index_of,
        largest_slice,
        montage,
        slanted_panel,
        slice_panel,
        three_planes,
    )
    from vesalius.transform.screen import AXIS

    if scene.volume.grid.ndim == 2:
        return [flat_panel(scene)]
    values = chosen_values(scene)
    if args.montage is not None:
        return montage(scene, args.plane or "axial", args.montage, values=values)
    if args.normal is not None:
        return [slanted_panel(scene, _point(args, scene), args.normal)]
    thin = [way for way, axis in AXIS.items() if scene.volume.grid.shape[axis] == 1]
    if args.plane == "three" or (args.plane is None and not thin):
        return three_planes(scene, _point(args, scene))
    plane: Direction = args.plane or thin[0]
    if args.slice is not None:
        index = args.slice - 1
    elif args.at == "largest" or (args.at is None and values is not None):
        index = largest_slice(scene, plane, values or ())
    else:
        index = index_of(scene.volume.grid, _point(args, scene))[AXIS[plane]]
    return [slice_panel(scene, plane, index)]


def _point(args: argparse.Namespace, scene: Scene) -> NDArray[np.float64]:
    """The point that ``--at`` means, LPS: the middle of the structures, of the surfaces, of the image if left out."""
    import numpy as np

    from vesalius.report.sections import centre_mm, slice_near
    from vesalius.transform.screen import AXIS

    grid = scene.volume.grid
    middle = (np.asarray(grid.shape) - 1) / 2
    if isinstance(args.at, tuple):
        return np.array(args.at)
    if isinstance(args.at, float):
        plane: Direction = args.plane or "coronal"
        middle[AXIS[plane]] = slice_near(grid, plane, args.at)
        return grid.to_points(middle)
    values = chosen_values(scene)
    if args.at == "centre" or values is not None:
        return centre_mm(scene, values or ())
    bounds = [surface.bounds_mm for surface in scene.surfaces if not surface.is_empty]
    if bounds:
        ends = np.array(bounds)
        middle = grid.to_index((ends[:, 0].min(axis=0) + ends[:, 1].max(axis=0)) / 2)
    return grid.to_points(middle)


def _projections(args: argparse.Namespace, scene: Scene) -> list[Projection]:
    """One projection, or those of a turn."""
    from vesalius.cli.progress import counting
    from vesalius.errors import DataError
    from vesalius.mesh.rendering.camera import Camera
    from vesalius.report.projections import cropped_to, project_along, project_from, turn_around

    within = chosen_values(scene) if args.within else None
    if args.within and within is None:
        raise DataError("the segmentation is empty: no voxel counts")
    at = None if args.slab is None else _point(args, scene)
    scene = scene if within is None else cropped_to(scene, within)
    if not (_is_turn(args) or _is_aslant(args)):
        return [project_along(scene, args.project, args.plane or "coronal", slab_mm=args.slab, at_mm=at, within=within)]
    azimuth, elevation = args.azimuth or 0.0, args.elevation or 0.0
    camera = Camera.of(args.view or "anterior", azimuth_deg=azimuth, elevation_deg=elevation)
    if not _is_turn(args):
        return [project_from(scene, args.project, camera, slab_mm=args.slab, at_mm=at, within=within)]
    found = []
    with counting("pictures", shown=not args.json) as progress:
        for one in turn_around(scene, args.project, camera, args.frames, within=within):
            found.append(one)
            if progress is not None:
                progress(len(found), args.frames)
    return found


def _write(args: argparse.Namespace, scene: Scene, panels: list[Panel]) -> tuple[int, int]:
    """Draw and write; the columns and rows of the picture."""
    from vesalius.report.canvas import write_png
    from vesalius.report.panels import draw_panels

    suffix = Path(args.output).suffix.lower()
    options: dict[str, Any] = {
        "title": _MARK if scene.convention == "neurological" else "",
        "size": args.size or _SIZES[suffix],
        "arrangement": "lead" if args.montage is None else "rows",
        "bar": scene.volume.meta.calibrated,
        "plain": args.plain,
    }
    if suffix == ".png":
        drawn = [draw_panels(panels, scene.labels, **options)]
        write_png(drawn[0], args.output)
    else:
        from vesalius.io.footage.animation import write_animation

        told = sorted(set().union(*(panel.present for panel in panels)))
        drawn = [draw_panels([panel], scene.labels, told=told, **options) for panel in panels]
        colours = [scene.labels.colour(value) for value in told]
        write_animation(drawn, args.output, rate_hz=len(drawn) / args.seconds, kept=colours)
    return drawn[0].shape[1], drawn[0].shape[0]


def _refuse(args: argparse.Namespace) -> None:
    """Refuse what cannot be drawn or written before anything is read."""
    from vesalius.errors import DataError, FormatError
    from vesalius.io.footage.animation import FASTEST_HZ

    target = Path(args.output)
    suffix = target.suffix.lower()
    if suffix not in _FORMATS:
        raise FormatError(f"{target.name}: pictures are written as {', '.join(_FORMATS)}")
    if target.resolve() in {Path(path).resolve() for path in (args.image, args.seg, *args.surface) if path}:
        raise DataError(f"the picture would replace {target.name} itself: choose another name")
    single = args.plane not in (None, "three")
    rules = [
        (suffix != ".png" and args.project is None, "an animation is a turn of a projection: it wants --project"),
        (
            suffix != ".png" and (args.plane or args.slab or args.at) is not None,
            "a turn shows the whole image from all sides: leave out --plane, --slab and --at",
        ),
        (args.slice is not None and not single, "--slice is a number along one plane's axis: say which --plane"),
        (args.slice is not None and args.at is not None, "--slice and --at both say where: choose one"),
        (
            (args.slab is not None or args.within or _is_aslant(args)) and args.project is None,
            "--slab, --within, --view, --azimuth and --elevation are of projections: they want --project",
        ),
        (
            args.project is not None and (args.slice or args.normal or args.montage) is not None,
            "a projection has no --slice, --normal or --montage: a slab of it is at --at",
        ),
        (args.project is not None and args.plane == "three", "a projection is along one plane's axis: say which"),
        (args.project is not None and args.slab is None and args.at is not None, "--at is where a slab is: say --slab"),
        (args.project is not None and bool(args.surface), "surfaces are cut by slices; a projection shows none"),
        (_is_aslant(args) and args.plane is not None, "--plane and --view both say from where: choose one"),
        (
            (_is_aslant(args) or suffix != ".png") and args.convention != "radiological",
            "from a side or in a turn nothing is mirrored: leave out --convention",
        ),
        (
            args.montage is not None and (args.plane == "three" or (args.normal or args.at or args.slice) is not None),
            "a montage shows slices of one plane through the whole: leave out --normal, --at and --slice",
        ),
        (
            args.plain and args.convention != "radiological",
            "a mirrored picture must say that it is one: leave out --plain or --convention",
        ),
        (args.normal is not None and args.plane is not None, "--normal and --plane both say how: choose one"),
        (isinstance(args.at, float) and not single, "one number is a place along one plane's axis: say which --plane"),
        (
            args.at == "largest" and (not single or args.project is not None),
            "the largest slice is one of a plane: say which --plane",
        ),
    ]
    for broken, message in rules:
        if broken:
            raise DataError(message)
    if suffix != ".png" and not (args.seconds > 0 and 0 < args.frames / args.seconds <= FASTEST_HZ):
        raise DataError(f"a turn shows at most {FASTEST_HZ} pictures a second, in more than 0 s")


def _refuse_unplaced(args: argparse.Namespace, scene: Scene) -> None:
    """Refuse what a flat picture does not have, and sides where nothing tells them."""
    from vesalius.errors import DataError

    given = [args.plane, args.at, args.slice, args.normal, args.montage, args.project]
    if scene.volume.grid.ndim == 2 and any(one is not None for one in given):
        raise DataError("the image is a flat picture: it has no planes, slices or projections")
    if (scene.volume.grid.ndim == 2 or not scene.volume.meta.calibrated) and args.convention != "radiological":
        raise DataError("nothing tells where the patient's sides are in this image: leave out --convention")


def _is_turn(args: argparse.Namespace) -> bool:
    return Path(args.output).suffix.lower() != ".png"


def _is_aslant(args: argparse.Namespace) -> bool:
    return any(one is not None for one in (args.view, args.azimuth, args.elevation))


def _where(text: str) -> str | float | tuple[float, float, float]:
    """A place, a point or a word: the type of an argument."""
    if text in ("centre", "largest"):
        return text
    try:
        return float(text) if "," not in text else three_numbers(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither mm, nor X,Y,Z, nor centre or largest") from None


def _size(text: str) -> tuple[int, int]:
    """Columns and rows: the type of an argument."""
    columns, rows = size_in_pixels(text)
    if not all(_SMALLEST <= n <= _LARGEST for n in (columns, rows)):
        raise argparse.ArgumentTypeError(f"pictures have {_SMALLEST} to {_LARGEST} pixels on a side, not {text}")
    return columns, rows
