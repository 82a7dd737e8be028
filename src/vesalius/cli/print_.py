"""``vesalius print SURFACES -o OUT``: solids that a printer can make, and the proof that it can."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from vesalius.cli.arguments import three_numbers
from vesalius.cli.surfaces import add_choice, read_surfaces

if TYPE_CHECKING:
    from vesalius.mesh.printing import Connectors, Cut, Prepared, Proof

HELP = "make surfaces ready for a printer: scale, base, cut, hollow, and prove that they can be printed"

# As in `vesalius.mesh.printing`, without its imports.
_DIRECTIONS = ("sagittal", "coronal", "axial")
_MATERIALS = ("pla", "petg", "abs", "tpu", "pa12", "resin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius print``."""
    parser.add_argument(
        "mesh", metavar="SURFACES", help="a mesh (.stl, .3mf, .ply, .obj, .glb), or a 3D label map in any format"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="a file (.3mf, .stl, …), or a new folder with a file each"
    )
    add_choice(parser)
    size = parser.add_argument_group("size")
    size.add_argument("--scale", type=float, default=1.0, metavar="FACTOR", help="of the print to the patient (1)")
    size.add_argument(
        "--build-volume", type=_lengths, metavar="W,D,H", help="the printer's width, depth and height in mm"
    )
    size.add_argument("--fit", action="store_true", help="make it smaller where needed to fit --build-volume")
    form = parser.add_argument_group("form, in mm of the print")
    form.add_argument("--unite", action="store_true", help="make one solid of all structures")
    form.add_argument("--apart", action="store_true", help="lay each structure on the bed by itself")
    form.add_argument("--base", type=float, nargs="?", const=3.0, metavar="MM", help="a plate below, so thick (3)")
    form.add_argument(
        "--cut",
        type=_cut,
        metavar="PLANE[=SHARE]",
        help="cut in two: sagittal, coronal or axial, at a share of the way from right, front or feet (0.5)",
    )
    form.add_argument("--connectors", type=int, default=0, metavar="N", help="pins that hold both halves together (0)")
    form.add_argument("--connector-diameter", type=float, default=5.0, metavar="MM", help="of the pins (5)")
    form.add_argument("--connector-length", type=float, default=5.0, metavar="MM", help="of the pins (5)")
    form.add_argument("--clearance", type=float, default=0.2, metavar="MM", help="of the holes around them (0.2)")
    form.add_argument("--hollow", type=float, metavar="MM", help="hollow it, with a wall so thick")
    form.add_argument("--drains", type=int, default=2, metavar="N", help="holes into each hollow (2)")
    form.add_argument("--drain-diameter", type=float, default=4.0, metavar="MM", help="of the holes (4)")
    proof = parser.add_argument_group("proof")
    proof.add_argument("--printable", action="store_true", help="write nothing and fail when it cannot be printed")
    proof.add_argument("--least-wall", type=float, default=0.8, metavar="MM", help="thinner walls are a problem (0.8)")
    proof.add_argument("--material", choices=_MATERIALS, default="pla", help="for the estimate of its mass (pla)")


def run(args: argparse.Namespace) -> int:
    """Prepare, prove, write; 1 when it cannot be printed and --printable was asked."""
    from vesalius.mesh.printing import Base, Hollowing, Prepared, prepare, prove

    _refuse(args)
    surfaces = read_surfaces(args.mesh, args.structure, args.labels)
    changed = (
        args.scale != 1 or args.fit or args.unite or args.apart or args.base or args.cut or args.hollow is not None
    )
    if args.output is None and not changed:
        made = Prepared(tuple(surfaces), 1.0)
    else:
        made = prepare(
            surfaces,
            scale=args.scale,
            fit_mm=args.build_volume if args.fit else None,
            unite=args.unite,
            apart=args.apart,
            base=None if args.base is None else Base(thickness_mm=args.base, sink_mm=min(1.0, args.base)),
            cut_at=_plane(args),
            connectors=_connectors(args),
            hollowing=None if args.hollow is None else Hollowing(args.hollow, args.drains, args.drain_diameter),
        )
    proofs = [
        prove(surface, least_wall_mm=args.least_wall, build_volume_mm=args.build_volume, material=args.material)
        for surface in made.surfaces
    ]
    bad = args.printable and not all(proof.is_printable for proof in proofs)
    files = [] if bad or args.output is None else _write(args, made)
    _tell(args, made, proofs, files)
    return 1 if bad else 0


def _refuse(args: argparse.Namespace) -> None:
    """Refuse what cannot be done before anything is read."""
    from pathlib import Path

    from vesalius.errors import DataError, FormatError
    from vesalius.mesh.files import FORMATS

    if args.output is None and not args.printable:
        raise DataError("say with -o where to write it, or ask with --printable whether it can be printed")
    if args.fit and args.build_volume is None:
        raise DataError("--fit makes it fit a printer: say with --build-volume how large that is")
    suffix = Path(args.output).suffix.lower() if args.output else ""
    if suffix and suffix not in FORMATS:
        raise FormatError(f"{Path(args.output).name}: solids are written as {', '.join(FORMATS)}, or into a folder")


def _write(args: argparse.Namespace, made: Prepared) -> list[str]:
    from pathlib import Path

    from vesalius.mesh.files import write_mesh, write_meshes

    if Path(args.output).suffix:
        write_mesh(made.surfaces, args.output, assembled=made.assembled)
        return [Path(args.output).name]
    return list(write_meshes(made.surfaces, args.output))


def _plane(args: argparse.Namespace) -> Cut | None:
    from vesalius.mesh.printing import Cut

    return None if args.cut is None else Cut(args.cut[0], args.cut[1])


def _connectors(args: argparse.Namespace) -> Connectors | None:
    from vesalius.mesh.printing import Connectors

    if not args.connectors:
        return None
    return Connectors(
        count=args.connectors,
        diameter_mm=args.connector_diameter,
        length_mm=args.connector_length,
        clearance_mm=args.clearance,
    )


def _tell(args: argparse.Namespace, made: Prepared, proofs: list[Proof], files: list[str]) -> None:
    if args.json:
        told = {
            "output": args.output,
            "files": files,
            "scale": made.scale,
            "connectors": made.connectors,
            "cavities": made.cavities,
            "cavity_ml": made.cavity_ml,
            "drains": made.drains,
            "printable": all(proof.is_printable for proof in proofs),
            "solids": [_row(proof) for proof in proofs],
        }
        print(json.dumps(told))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("solid", "size, mm", "cm³", "g", "thinnest, mm", "thickest, mm", "printable")
    for proof in proofs:
        walls = ("" if x is None else f"{x:.2f}" for x in (proof.thinnest_mm, proof.thickest_mm))
        size = " × ".join(f"{x:.1f}" for x in proof.size_mm)
        volume, mass = f"{proof.volume_cm3:.2f}", f"{proof.mass_g:.1f}"
        table.add_row(proof.name, size, volume, mass, *walls, "yes" if proof.is_printable else "no")
    Console(highlight=False, markup=False).print(table)
    if made.scale != 1:
        print(f"scale: {made.scale:.4g}")
    if args.connectors:
        print(f"connectors: {made.connectors}")
    if args.hollow is not None:
        print(f"hollows: {made.cavities}, {made.cavity_ml:.1f} ml less material; drains: {made.drains}")
    for proof in proofs:
        for problem in proof.problems:
            print(f"vesalius: {proof.name}: {problem}", file=sys.stderr)
    if files:
        print(f"written to {args.output}")
    elif args.output is not None:
        print("vesalius: nothing was written", file=sys.stderr)


def _row(proof: Proof) -> dict[str, Any]:
    return {
        "name": proof.name,
        "size_mm": proof.size_mm,
        "volume_cm3": proof.volume_cm3,
        "mass_g": proof.mass_g,
        "watertight": proof.soundness.is_watertight,
        "manifold": proof.soundness.is_manifold,
        "oriented": proof.soundness.is_oriented,
        "thinnest_mm": proof.thinnest_mm,
        "thinnest_at": proof.thinnest_at,
        "thickest_mm": proof.thickest_mm,
        "printable": proof.is_printable,
        "problems": proof.problems,
    }


def _lengths(text: str) -> tuple[float, float, float]:
    return three_numbers(text, "lengths like 250,210,220")


def _cut(text: str) -> tuple[str, float]:
    """A plane and a share: the type of an argument."""
    plane, _, share = text.partition("=")
    try:
        at = float(share) if share else 0.5
    except ValueError:
        at = -1.0
    if plane not in _DIRECTIONS or not 0 < at < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a plane ({', '.join(_DIRECTIONS)}), with a share as in axial=0.3"
        )
    return plane, at
