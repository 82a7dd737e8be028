"""What verbs that read or write surfaces share: the arguments of mesh files, and reading meshes or label maps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vesalius.image import Grid, LabelMap
    from vesalius.mesh import Surface

# As in `vesalius.mesh.files`, without its imports.
COMPRESSIONS = ("none", "quantised", "draco")


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Which structures of a mesh or of a label map."""
    parser.add_argument("--labels", metavar="NAME=VALUE,…", help="what a label map's values mean")
    parser.add_argument(
        "--structure", metavar="NAME", action="append", help="only this one; may be given several times"
    )


def add_files(parser: argparse.ArgumentParser) -> None:
    """How mesh files are written, and the series that a DICOM object belongs to."""
    parser.add_argument("--axes", choices=("lps", "ras"), default="lps", help="of the file; not of .glb and .dcm (lps)")
    parser.add_argument(
        "--opacity",
        metavar="NAME=SHARE",
        action="append",
        default=[],
        help="see through a structure, 0 to 1, in .glb, .3mf and .obj; may be given several times",
    )
    parser.add_argument(
        "--compression", choices=COMPRESSIONS, default="quantised", help="of .glb; draco needs viewers with its decoder"
    )
    parser.add_argument("--each", metavar="FORMAT", help="into a folder: the files' format, for example ply (stl)")
    parser.add_argument("--source", metavar="SERIES", help="the DICOM series that a .dcm belongs to")
    parser.add_argument("--source-series", metavar="SERIES", help="which series of the folder --source that is")


def refuse_files(args: argparse.Namespace) -> None:
    """Refuse what cannot be written before anything is read.

    Raises:
        FormatError: Surfaces are not written in this format.
        DataError: Arguments do not go together.
    """
    from vesalius.errors import DataError, FormatError
    from vesalius.mesh.files import FORMATS

    target = Path(args.output)
    suffix = target.suffix.lower()
    if suffix == ".dcm" and args.source is None:
        raise DataError("a surface in DICOM belongs to a patient and a study: name the series with --source")
    if suffix == ".dcm" and args.axes != "lps":
        raise DataError("DICOM has the axes of its series (LPS): leave --axes out")
    if suffix != ".dcm" and (args.source is not None or args.source_series is not None):
        raise DataError("--source is the series of a DICOM object: it wants -o with a name that ends in .dcm")
    if suffix and not target.is_dir() and suffix not in (*FORMATS, ".dcm"):
        raise FormatError(f"{target.name}: surfaces are written as {', '.join(FORMATS)}, .dcm, or into a folder")
    if args.each is not None and suffix:
        raise DataError("--each is for a folder, which has a name without a dot")
    if args.each is not None and f".{args.each.lstrip('.')}" not in FORMATS:
        raise FormatError(f"--each must be one of {', '.join(name[1:] for name in FORMATS)}, not {args.each}")
    opacities(args)


def write_surfaces(args: argparse.Namespace, surfaces: Sequence[Surface]) -> list[str]:
    """Write surfaces to the file or folder of ``--output``, and return the names of what was written."""
    from vesalius.mesh.files import stl, write_mesh, write_meshes

    target = Path(args.output)
    if target.suffix.lower() == ".dcm":
        from vesalius.io.dicom import read_origin, write_model

        origin = read_origin(args.source, series=args.source_series)
        title = ", ".join(surface.label.name for surface in surfaces)
        write_model(stl.encode(surfaces), target, origin, title=title)
        return [target.name]
    if target.suffix:
        write_mesh(surfaces, target, axes=args.axes, opacity=opacities(args), compression=args.compression)
        return [target.name]
    return list(
        write_meshes(
            surfaces,
            target,
            suffix=f".{(args.each or 'stl').lstrip('.')}",
            axes=args.axes,
            opacity=opacities(args),
            compression=args.compression,
        )
    )


def read_surfaces(path: str, names: Sequence[str] | None, labels: str | None = None) -> list[Surface]:
    """The surfaces of a mesh file, or of a label map's structures.

    Args:
        path: The file.
        names: Only these structures.
        labels: Names of a label map's values, as ``--labels`` has them.

    Raises:
        DataError: A structure is not there.
        FormatError: The file cannot be read.
    """
    from vesalius.errors import DataError, unknown_name
    from vesalius.mesh.files import READ, read_mesh

    if Path(path).suffix.lower() in READ:
        found = {surface.label.name: surface for surface in read_mesh(path)}
        for name in names or ():
            if name not in found:
                raise DataError(unknown_name("structure", name, found))
        return [found[name] for name in names] if names else list(found.values())
    from vesalius.mesh import extract

    drawn = named_labels(path, labels)
    for name in names or ():
        drawn.labels.members(name)  # refuses a name that is unknown before anything is computed
    interfaces = extract(drawn, only=names or None)
    return [interfaces.of(name) for name in (names or drawn.labels.names)]


def named_labels(path: str, labels: str | None, *, grid: Grid | None = None) -> LabelMap:
    """A label map, its values named by ``--labels`` where that is given; of contours, on a grid."""
    from vesalius.cli.arguments import named_values
    from vesalius.io import read_labels

    return read_labels(path, None if labels is None else named_values(labels), grid=grid)


def opacities(args: argparse.Namespace) -> dict[str, float]:
    """What ``--opacity`` says, by the structure's name.

    Raises:
        DataError: It is not written as it must be.
    """
    from vesalius.errors import DataError

    found = {}
    for text in args.opacity:
        name, _, share = text.rpartition("=")
        try:
            found[name] = float(share)
        except ValueError:
            name = ""
        if not name:
            raise DataError(f"--opacity must be written like liver=0.3, not {text!r}")
    return found
