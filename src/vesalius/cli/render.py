"""``vesalius render SURFACES -o OUT``: pictures of structures as surfaces, and a page to turn them in."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.arguments import size_in_pixels
from vesalius.cli.seen import add_channel, add_window, read_image, window_of
from vesalius.cli.surfaces import add_choice, opacities, read_surfaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vesalius.mesh import Surface
    from vesalius.mesh.painted import Painted
    from vesalius.mesh.rendering import Camera, Clip, Scene

HELP = "draw structures as surfaces, from the patient's sides: a picture, a turn-table, or a page to turn them in"

# As in `vesalius.mesh.rendering`, without its imports.
_SIDES = ("anterior", "posterior", "left", "right", "superior", "inferior")
_FORMATS = (".png", ".gif", ".mp4", ".html")
_FRAMES, _SECONDS = 60, 6.0
_SIZE = (1024, 768)
_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "transparent": None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius render``."""
    parser.add_argument(
        "mesh", metavar="SURFACES", help="a mesh (.stl, .3mf, .ply, .obj, .glb), or a 3D label map in any format"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a picture (.png), a turn-table (.gif, .mp4), or a page that any browser opens and turns (.html)",
    )
    parser.add_argument("--title", metavar="TEXT", help="heading of a page (3D view); give it no patient's name")
    parser.add_argument("--frames", type=int, metavar="N", help=f"pictures of a turn-table ({_FRAMES})")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"that a turn takes ({_SECONDS:g})")
    add_choice(parser)
    scan = parser.add_argument_group("slices of a scan, in a page")
    scan.add_argument("--image", metavar="SCAN", help="whose slices the planes show; in that of a head is a face")
    add_channel(scan)
    add_window(scan)
    parser.add_argument(
        "--values",
        metavar="NAME",
        help="which of the values at a mesh's vertices are shown as colours, or none (those that are there)",
    )
    camera = parser.add_argument_group("from where")
    camera.add_argument(
        "--view", choices=_SIDES, default="anterior", help="the patient's side from which one looks (anterior)"
    )
    camera.add_argument(
        "--azimuth", type=float, default=0.0, metavar="DEG", help="turned from there: from the front to the left side"
    )
    camera.add_argument("--elevation", type=float, default=0.0, metavar="DEG", help="and up")
    camera.add_argument("--zoom", type=float, default=1.0, metavar="FACTOR", help="larger than what fits (1)")
    camera.add_argument(
        "--perspective", action="store_true", help="what is nearer looks larger; there is no scale bar then"
    )
    look = parser.add_argument_group("how it looks")
    look.add_argument("--size", type=size_in_pixels, default=_SIZE, metavar="WxH", help="in pixels (1024x768)")
    look.add_argument(
        "--background",
        type=_background,
        default=_COLOURS["white"],
        metavar="COLOUR",
        help=f"{', '.join(_COLOURS)}, or as #10203f (white)",
    )
    look.add_argument(
        "--opacity",
        metavar="NAME=SHARE",
        action="append",
        default=[],
        help="see through a structure, 0 to 1; may be given several times",
    )
    look.add_argument(
        "--clip",
        type=_clip,
        metavar="SIDE[=SHARE]",
        action="append",
        default=[],
        help="take away what lies on this side of the patient: a share of the whole (0.5); may be given several times",
    )
    look.add_argument(
        "--whole",
        metavar="NAME",
        action="append",
        default=[],
        help="take nothing of this structure away; may be given several times",
    )
    look.add_argument(
        "--plain", action="store_true", help="without letters of the sides, scale bar, cube and names of structures"
    )


def run(args: argparse.Namespace) -> int:
    """Read, draw, write."""
    from vesalius.mesh.painted import surface_of
    from vesalius.mesh.rendering import Camera, arrange

    _refuse(args)
    opacity = opacities(args)
    camera = Camera.of(
        args.view,
        azimuth_deg=args.azimuth,
        elevation_deg=args.elevation,
        perspective=args.perspective,
        zoom=args.zoom,
    )
    surfaces = _painted(args, read_surfaces(args.mesh, args.structure, args.labels))
    if Path(args.output).suffix.lower() == ".html":
        from vesalius.report.view import view_html

        scan = None if args.image is None else read_image(args)
        window = None if scan is None else window_of(args.window, scan)
        title = args.title or "3D view"
        view_html(surfaces, args.output, title=title, opacity=opacity, camera=camera, scan=scan, window=window)
        shown = [one for one in surfaces if not one.is_empty]
        _tell(args, surfaces, [one.label.name for one in shown], sum(len(surface_of(one).faces) for one in shown))
        return 0
    scene = arrange(surfaces, opacity=opacity, clips=args.clip, whole=args.whole)
    if Path(args.output).suffix.lower() == ".png":
        _write_picture(args, scene, camera)
    else:
        _write_turn(args, scene, camera)
    _tell(args, surfaces, [body.name for body in scene.bodies], sum(len(body.faces) for body in scene.bodies))
    return 0


def _refuse(args: argparse.Namespace) -> None:
    """Refuse what cannot be drawn or written before anything is read."""
    from vesalius.errors import DataError, FormatError
    from vesalius.io.footage.animation import FASTEST_HZ
    from vesalius.mesh.rendering.picture import refuse_size
    from vesalius.mesh.rendering.raster import opencv
    from vesalius.mesh.rendering.turn import refuse_frames

    target = Path(args.output)
    suffix = target.suffix.lower()
    if suffix not in _FORMATS:
        raise FormatError(f"{target.name}: pictures of surfaces are written as {', '.join(_FORMATS)}")
    if args.image is None and (args.series, args.channel, args.window) != (None, None, None):
        raise DataError("--series, --channel and --window are of a scan: name it with --image")
    if suffix == ".html":
        _refuse_page(args)
        return
    if args.image is not None:
        raise DataError("slices of a scan are shown in a page: write an .html (`vesalius picture` draws them)")
    if args.title is not None:
        raise DataError("--title is the heading of a page: write an .html")
    opencv()
    refuse_size(args.size)
    if suffix == ".png":
        if args.frames is not None or args.seconds is not None:
            raise DataError("--frames and --seconds are of a turn-table: write a .gif or .mp4")
        return
    frames, seconds = _pace(args)
    refuse_frames(frames, args.size)
    if args.background is None:
        raise DataError(f"a {suffix[1:].upper()} has no transparent background: choose a colour with --background")
    if not (seconds > 0 and frames / seconds <= FASTEST_HZ):
        raise DataError(
            f"a turn-table shows at most {FASTEST_HZ} pictures a second: {frames} take {frames / FASTEST_HZ:g} s or "
            f"longer, not {seconds:g}"
        )


def _refuse_page(args: argparse.Namespace) -> None:
    """Refuse what only pictures have."""
    from vesalius.errors import DataError

    usual: dict[str, object] = {"frames": None, "seconds": None, "size": _SIZE, "background": _COLOURS["white"]}
    usual |= {"plain": False, "clip": [], "whole": []}
    given = [name for name, value in usual.items() if getattr(args, name) != value]
    if given:
        raise DataError(f"--{given[0]} is of pictures: a page is sized, coloured and cut by who looks at it")


def _pace(args: argparse.Namespace) -> tuple[int, float]:
    """How many pictures a turn-table has, and how long it takes."""
    return (
        _FRAMES if args.frames is None else args.frames,
        _SECONDS if args.seconds is None else args.seconds,
    )


def _painted(args: argparse.Namespace, surfaces: Sequence[Surface]) -> list[Surface | Painted]:
    """Surfaces, with the values at their vertices where the file has any."""
    from vesalius.errors import DataError, unknown_name
    from vesalius.mesh.files import HOLD, READ, read_painted

    suffix = Path(args.mesh).suffix.lower()
    found = read_painted(args.mesh) if suffix in HOLD and suffix in READ and args.values != "none" else ()
    kinds = list(dict.fromkeys(one.name for one in found))
    if args.values is None and len(kinds) > 1:
        raise DataError(
            f"the file has several kinds of values: choose with --values one of {', '.join(kinds)}, or none"
        )
    if args.values not in (None, "none", *kinds):
        raise DataError(unknown_name("kind of values", args.values, (*kinds, "none")))
    chosen = {one.label.name: one for one in found if one.name == (args.values or kinds[0])}
    return [chosen.get(surface.label.name, surface) for surface in surfaces]


def _write_picture(args: argparse.Namespace, scene: Scene, camera: Camera) -> None:
    from vesalius.mesh.rendering import picture
    from vesalius.report.canvas import write_png

    drawn = picture(scene, camera, size=args.size, background=args.background, marked=not args.plain)
    write_png(drawn, args.output)


def _write_turn(args: argparse.Namespace, scene: Scene, camera: Camera) -> None:
    from vesalius.cli.progress import counting
    from vesalius.io.footage.animation import write_animation
    from vesalius.mesh.rendering import turn

    drawn = []
    frames, seconds = _pace(args)
    with counting("pictures", shown=not args.json) as progress:
        pictures = turn(scene, camera, frames=frames, size=args.size, background=args.background, marked=not args.plain)
        for one in pictures:
            drawn.append(one)
            if progress is not None:
                progress(len(drawn), frames)
    colours = [body.colour for body in scene.bodies]
    write_animation(drawn, args.output, rate_hz=frames / seconds, kept=[args.background, *colours])


def _tell(args: argparse.Namespace, surfaces: Sequence[Surface | Painted], shown: list[str], triangles: int) -> None:
    told = {
        "output": args.output,
        "size": None if Path(args.output).suffix.lower() == ".html" else args.size,
        "structures": shown,
        "left_out": [name for one in surfaces if (name := one.label.name) not in shown],
        "triangles": triangles,
    }
    if args.json:
        print(json.dumps(told))
        return
    print(f"{len(shown)} structure{'s' * (len(shown) != 1)}, {triangles:,} triangles")
    if told["left_out"]:
        print(f"nothing to see of: {', '.join(told['left_out'])}")
    print(f"written to {args.output}")


def _background(text: str) -> tuple[int, ...] | None:
    """A colour by name or in hexadecimal digits: the type of an argument."""
    if text in _COLOURS:
        return _COLOURS[text]
    try:
        parts = bytes.fromhex(text.removeprefix("#"))
    except ValueError:
        parts = b""
    if len(parts) != 3 or not text.startswith("#"):
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(_COLOURS)}, nor a colour like #10203f")
    return tuple(parts)


def _clip(text: str) -> Clip:
    """A side and a share: the type of an argument."""
    from vesalius.errors import DataError
    from vesalius.mesh.rendering import Clip

    side, _, share = text.partition("=")
    try:
        return Clip(side, float(share) if share else 0.5)  # type: ignore[arg-type]
    except (ValueError, DataError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a side ({', '.join(_SIDES)}), with a share as in anterior=0.3"
        ) from None
