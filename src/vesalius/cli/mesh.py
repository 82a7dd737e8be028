"""``vesalius mesh SEG -o OUT``: sound surfaces of a label map's structures, or of what a mesh file holds."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from vesalius.cli.surfaces import add_files, named_labels, read_surfaces, refuse_files, write_surfaces

if TYPE_CHECKING:
    from vesalius.mesh import Repaired, Soundness, Surface

# As in `vesalius.mesh.smoothing`, without its imports.
_FILTERS = ("taubin", "sinc")

HELP = "turn a label map into closed, smooth surfaces, or mend those of a mesh file, and prove them sound"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius mesh``."""
    parser.add_argument(
        "seg",
        metavar="SEG",
        help="a 3D label map in any format that is read, DICOM SEG included, or a mesh (.stl, .3mf, .ply, .obj, .glb)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a file with all structures (.stl, .3mf, .ply, .obj, .glb, .vtp, .dcm), or a new folder with one each",
    )
    parser.add_argument("--labels", metavar="NAME=VALUE,…", help="what the values mean, where the file does not say")
    parser.add_argument(
        "--structure", metavar="NAME", action="append", help="only this label or region; may be given several times"
    )
    parser.add_argument(
        "--probabilities",
        metavar="FILE",
        help="background and each label, as `vesalius segment --probabilities` writes them: surfaces at fractions of "
        "voxels",
    )
    parser.add_argument(
        "--smoothing-steps",
        type=int,
        metavar="N",
        help="how often to smooth (60; 4 with --probabilities; 20 with --smooth; 0: none)",
    )
    parser.add_argument(
        "--smooth",
        choices=_FILTERS,
        help="smooth freely, volumes kept, instead of within voxels; the only way to smooth what is read from a mesh",
    )
    parser.add_argument("--repair", action="store_true", help="make what is read from a mesh sound")
    parser.add_argument(
        "--largest-hole", type=float, metavar="MM", help="with --repair: holes farther across are refused (20)"
    )
    parser.add_argument(
        "--slices",
        choices=("auto", "keep"),
        default="auto",
        help="between thick slices: interpolate shapes, or keep the steps",
    )
    parser.add_argument(
        "--max-error",
        type=float,
        metavar="MM",
        default=0.0,
        help="leave out triangles within this distance from the full surface (0, the default: keep all)",
    )
    add_files(parser)
    parser.add_argument("--no-check", action="store_true", help="do not prove that the surfaces are sound")


def run(args: argparse.Namespace) -> int:
    """Extract or read, check, write; 1 when a surface is not sound."""
    from vesalius.errors import DataError, VesaliusError

    _refuse(args)
    names, found, repairs = _read(args) if _is_mesh(args) else _extracted(args)
    surfaces = [surface for surface in found if not surface.is_empty]
    empty = [name for name in names if name not in {surface.label.name for surface in surfaces}]
    if not surfaces:
        raise DataError(f"nothing to write: no voxel of {', '.join(names) or 'any structure'}")
    proofs = {} if args.no_check else _checked(surfaces)
    bad = [name for name, proof in proofs.items() if not proof.is_sound]
    if bad:
        how = "--repair mends it, " if _is_mesh(args) and not args.repair else ""
        raise VesaliusError(f"a surface is not sound, nothing was written: {', '.join(bad)}; {how}--no-check writes it")
    files = write_surfaces(args, surfaces)
    _tell(args, surfaces, proofs, files, empty, repairs)
    return 0


def _is_mesh(args: argparse.Namespace) -> bool:
    from pathlib import Path

    from vesalius.mesh.files import READ

    return Path(args.seg).suffix.lower() in READ


def _extracted(args: argparse.Namespace) -> tuple[list[str], list[Surface], dict[str, Repaired]]:
    """The structures of a label map: their names, and their surfaces; nothing was repaired."""
    from vesalius.mesh import extract, simplify, smooth
    from vesalius.mesh.smoothing import STEPS

    labels = named_labels(args.seg, args.labels)
    names = args.structure or [*labels.labels.names]
    for name in names:
        labels.labels.members(name)  # refuses a name that is unknown before anything is computed
    probabilities = None
    if args.probabilities is not None:
        from vesalius.io import read

        probabilities = read(args.probabilities)
    found = extract(
        labels,
        only=args.structure,
        probabilities=probabilities,
        smoothing_steps=0 if args.smooth else args.smoothing_steps,
        slices=args.slices,
    )
    if args.smooth:
        steps = STEPS if args.smoothing_steps is None else args.smoothing_steps
        found = smooth(found, method=args.smooth, steps=steps)
    if args.max_error:
        found = simplify(found, max_error_mm=args.max_error)
    return names, [found.of(name) for name in names], {}


def _read(args: argparse.Namespace) -> tuple[list[str], list[Surface], dict[str, Repaired]]:
    """The surfaces of a mesh file: their names, the surfaces, and what was repaired."""
    from vesalius.mesh import repair, simplify, smooth
    from vesalius.mesh.repairing import LARGEST_HOLE_MM
    from vesalius.mesh.shared import joined, parted
    from vesalius.mesh.smoothing import STEPS

    surfaces = read_surfaces(args.seg, None)
    wanted = read_surfaces(args.seg, args.structure) if args.structure else surfaces  # refuses what is not there
    names = [surface.label.name for surface in wanted]
    repairs: dict[str, Repaired] = {}
    if args.repair:
        hole = LARGEST_HOLE_MM if args.largest_hole is None else args.largest_hole
        surfaces = [surface for surface in surfaces if surface.label.name in names]
        repairs = {s.label.name: repair(s, largest_hole_mm=hole) for s in surfaces if not s.is_empty}
        surfaces = [repairs[s.label.name].surface if s.label.name in repairs else s for s in surfaces]
    if args.smooth or args.max_error:
        together = joined(surfaces)
        if args.smooth:
            steps = STEPS if args.smoothing_steps is None else args.smoothing_steps
            together = smooth(together, method=args.smooth, steps=steps)
        if args.max_error:
            together = simplify(together, max_error_mm=args.max_error)
        surfaces = list(parted(together, surfaces))
    return names, [surface for surface in surfaces if surface.label.name in names], repairs


def _refuse(args: argparse.Namespace) -> None:
    """Refuse what cannot be done before anything is read."""
    from vesalius.errors import DataError

    refuse_files(args)
    if not args.max_error >= 0:
        raise DataError(f"--max-error must be 0 mm or more, not {args.max_error}")
    if _is_mesh(args):
        if args.labels is not None or args.probabilities is not None or args.slices != "auto":
            raise DataError("--labels, --probabilities and --slices are for label maps; this is a mesh")
        if args.smoothing_steps is not None and args.smooth is None:
            raise DataError("say with --smooth how a mesh is to be smoothed: taubin or sinc")
    elif args.repair:
        raise DataError("--repair is for meshes: what is made of a label map is sound")
    if args.largest_hole is not None and not args.repair:
        raise DataError("--largest-hole is for --repair")


def _checked(surfaces: list[Surface]) -> dict[str, Soundness]:
    """Each surface's proof, side by side on every core."""
    from concurrent.futures import ThreadPoolExecutor

    from vesalius.jobs import cores
    from vesalius.mesh import check

    with ThreadPoolExecutor(cores()) as pool:
        return {s.label.name: proof for s, proof in zip(surfaces, pool.map(check, surfaces), strict=True)}


def _tell(
    args: argparse.Namespace,
    surfaces: list[Surface],
    proofs: dict[str, Soundness],
    files: list[str],
    empty: list[str],
    repairs: dict[str, Repaired],
) -> None:
    rows = [_row(s, proofs.get(s.label.name), repairs.get(s.label.name)) for s in surfaces]
    if args.json:
        print(json.dumps({"output": args.output, "files": files, "surfaces": rows, "empty": empty}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("structure", *(f"{word}" for word in ("ml", "cm²", "pieces", "handles", "triangles", "sound")))
    for row in rows:
        sound = {True: "yes", False: "no", None: "not checked"}[row["sound"]]
        numbers = f"{row['volume_ml']:.3f}", f"{row['area_mm2'] / 100:.2f}"
        table.add_row(str(row["name"]), *numbers, *(f"{row[key]:,}" for key in ("pieces", "genus", "faces")), sound)
    Console(highlight=False, markup=False).print(table)
    for name, made in repairs.items():
        print(f"{name}: {_said(made)}")
    print(f"written to {args.output}")
    if empty:
        print(f"vesalius: no voxels: {', '.join(empty)}", file=sys.stderr)


def _said(made: Repaired) -> str:
    """What was repaired, in words."""
    if not made.is_changed:
        return "was sound"
    done = {
        f"{made.filled_holes} holes closed, the largest {made.largest_hole_mm:.1f} mm across": made.filled_holes,
        f"{made.welded} vertices welded": made.welded,
        f"{made.removed_faces} faces left out": made.removed_faces,
        f"{made.turned_faces} faces turned": made.turned_faces,
        f"parted at {made.split_vertices} vertices": made.split_vertices,
        f"{made.removed_pieces} pieces within others left out": made.removed_pieces,
        "what cut itself was taken out": made.resolved == "patched",
        "bodies that overlapped are one": made.resolved == "united",
        f"made anew, up to {made.error_mm:.2g} mm from the old surface": made.resolved == "remeshed",
    }
    return "; ".join(words for words, count in done.items() if count)


def _row(surface: Surface, proof: Soundness | None, made: Repaired | None) -> dict[str, Any]:
    return {
        "name": surface.label.name,
        "value": surface.label.value,
        "volume_ml": surface.volume_ml,
        "area_mm2": surface.area_mm2,
        "pieces": surface.pieces,
        "genus": surface.genus,
        "faces": len(surface.faces),
        "sound": None if proof is None else proof.is_sound,
        "self_intersections": None if proof is None else proof.self_intersections,
        "manifold3d": None if proof is None else proof.manifold3d,
        "repaired": None if made is None else _repairs(made),
    }


def _repairs(made: Repaired) -> dict[str, Any]:
    """Numbers of what was repaired."""
    from dataclasses import fields

    return {field.name: getattr(made, field.name) for field in fields(made) if field.name != "surface"}
