"""What kind of DICOM object a file is, and those that are no image series as the contents of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydicom.uid import ParametricMapStorage, RTStructureSetStorage

from vesalius.errors import FormatError
from vesalius.io.contents import Contents
from vesalius.io.dicom.header import read_header
from vesalius.io.dicom.quiet import quiet
from vesalius.io.dicom.segments import STORAGES, is_fractional, read_fractions, read_seg

Kind = Literal["image", "segmentation", "fractions", "parametric map", "structure set"]
"""Images are also objects that nobody reads: the reader of series says so, and why."""


def kind_of(path: Path) -> Kind:
    """What an object is; a folder holds images, and of a damaged file the reader of images tells the damage.

    Args:
        path: A file or a folder.

    Example:
        >>> import tempfile
        >>> kind_of(Path(tempfile.mkdtemp()))
        'image'
    """
    if not path.is_file():
        return "image"
    try:
        with quiet:
            header = read_header(path)
    except FormatError:
        return "image"
    storage = "" if header is None else str(header.elements.SOPClassUID)
    if storage in STORAGES:
        return "fractions" if is_fractional(path) else "segmentation"
    if storage == ParametricMapStorage:
        return "parametric map"
    return "structure set" if storage == RTStructureSetStorage else "image"


def read_object(path: Path, kind: Kind) -> Contents:
    """Read what is no image series as an image: the values of a segmentation, shares, the numbers of a map.

    Args:
        path: The file.
        kind: As `kind_of` says.

    Raises:
        FormatError: The object is damaged, or a structure set, whose contours have no voxels of their own.
    """
    if kind == "parametric map":
        from vesalius.io.dicom.parametric import read_contents

        return read_contents(path)
    if kind == "fractions":
        shares = read_fractions(path)
        return Contents(shares.array, shares.grid, shares.meta)
    if kind == "segmentation":
        found = read_seg(path)
        return Contents(found.array[None], found.grid, labels=found.labels)
    raise FormatError(
        f"{path.name}: is an RT structure set, contours without a grid: read it with read_labels(path, grid=…) on the "
        "grid of its series, or with `vesalius convert --source SERIES`"
    )
