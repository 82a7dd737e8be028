"""``vesalius mesh SEG -o OUT``: closed surfaces of the structures of a label map, for printers and viewers."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from vesalius.cli.surfaces import add_files, named_labels, refuse_files, write_surfaces

if TYPE_CHECKING:
    from vesalius.mesh import Soundness, Surface

HELP = "turn a label map into closed surfaces that neighbours share, smooth ones, and prove that they are sound"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius mesh``."""
    parser.add_argument("seg", metavar="SEG", help="a 3D label map in any format that is read, DICOM SEG included")
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
        "--smoothing-steps", type=int, metavar="N", help="how often to smooth (60; 0 with --probabilities; 0: none)"
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
    """Extract, check, write; 1 when a surface is not sound."""
    from vesalius.errors import DataError, VesaliusError
    from vesalius.mesh import extract, simplify

    _refuse(args)
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
        smoothing_steps=args.smoothing_steps,
        slices=args.slices,
    )
    if args.max_error:
        found = simplify(found, max_error_mm=args.max_error)
    surfaces = [surface for surface in map(found.of, names) if not surface.is_empty]
    empty = [name for name in names if name not in {surface.label.name for surface in surfaces}]
    if not surfaces:
        raise DataError(f"nothing to write: no voxel of {', '.join(names) or 'any structure'}")
    proofs = {} if args.no_check else _checked(surfaces)
    bad = [name for name, proof in proofs.items() if not proof.is_sound]
    if bad:
        raise VesaliusError(f"a surface is not sound, nothing was written: {', '.join(bad)}; --no-check writes it")
    files = write_surfaces(args, surfaces)
    _tell(args, surfaces, proofs, files, empty)
    return 0


def _refuse(args: argparse.Namespace) -> None:
    """Refuse what cannot be done before anything is read."""
    from vesalius.errors import DataError

    refuse_files(args)
    if not args.max_error >= 0:
        raise DataError(f"--max-error must be 0 mm or more, not {args.max_error}")


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
) -> None:
    rows = [_row(surface, proofs.get(surface.label.name)) for surface in surfaces]
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
    print(f"written to {args.output}")
    if empty:
        print(f"vesalius: no voxels: {', '.join(empty)}", file=sys.stderr)


def _row(surface: Surface, proof: Soundness | None) -> dict[str, Any]:
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
    }
