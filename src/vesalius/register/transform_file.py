"""Alignments as ITK's transform files, which ANTs, elastix, Slicer and SimpleITK read and write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from vesalius.errors import FormatError
from vesalius.io.atomic import atomic_path
from vesalius.register.alignment import Alignment
from vesalius.register.itk import linear, matrix_of, needed, to_itk, vectors_of

SUFFIXES = (".txt", ".tfm", ".h5")
"""Text, of a line a number; and HDF5, in which a deformation is a tenth as large."""


def write_alignment(alignment: Alignment, path: str | os.PathLike[str]) -> None:
    """Write an alignment as an ITK transform: from fixed to moving points, LPS mm, as ITK has it.

    Args:
        alignment: A linear one becomes an affine transform; a deformation a composite of that and a displacement field.
        path: A name that ends in one of `SUFFIXES`.

    Raises:
        FormatError: The name ends in something else.
        VesaliusError: The file cannot be written.
        MissingDependencyError: SimpleITK is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_alignment(Alignment([[1, 0, 3.5], [0, 1, 0], [0, 0, 1]]), folder + "/shift.txt")
        ...     read_alignment(folder + "/shift.txt").to_moving([0.0, 0.0]).tolist()
        [3.5, 0.0]
    """
    sitk = needed()
    target = Path(path)
    _check_suffix(target)
    made = linear(alignment.matrix)
    if alignment.displacement is not None:
        field = to_itk(alignment.displacement.array.astype(np.float64), alignment.displacement.grid)
        # What was added last is applied first.
        made = sitk.CompositeTransform([made, sitk.DisplacementFieldTransform(field)])
    with atomic_path(target) as temporary:
        sitk.WriteTransform(made, str(temporary))


def read_alignment(path: str | os.PathLike[str]) -> Alignment:
    """Read an ITK transform file.

    Args:
        path: A name that ends in one of `SUFFIXES`. Linear transforms of any kind are read, and composites of them, of
            which the one that is applied first may be a displacement field.

    Returns:
        The alignment, without a fitness.

    Raises:
        FormatError: It is no transform file, or holds a transform that is neither linear nor a displacement field.
        MissingDependencyError: SimpleITK is not installed.
    """
    sitk = needed()
    source = Path(path)
    _check_suffix(source)
    if not source.is_file():
        raise FormatError(f"{source.name}: there is no such file")
    try:
        found = sitk.ReadTransform(str(source))
    except RuntimeError:
        raise FormatError(f"{source.name}: not a transform file of ITK, or a damaged one") from None
    # Applied from the last to the first.
    parts = list(_parts(sitk, found))
    field = None
    if parts and not parts[-1].IsLinear() and isinstance(parts[-1], sitk.DisplacementFieldTransform):
        field = vectors_of(parts.pop().GetDisplacementField())
    if not all(part.IsLinear() for part in parts):
        raise FormatError(
            f"{source.name}: holds a transform that is neither linear nor a displacement field applied before the "
            "linear ones; turn it into a displacement field first (SimpleITK.TransformToDisplacementField)"
        )
    matrix = np.eye(found.GetDimension() + 1)
    for part in parts:
        matrix = matrix @ matrix_of(part)
    return Alignment(matrix, field)


def _parts(sitk: Any, transform: Any) -> Any:
    """The transforms of a composite, and of composites in it, in order."""
    # A linear one is used as it is: not all of ITK's have a class of SimpleITK's.
    if transform.IsLinear():
        yield transform
        return
    known = transform.Downcast()
    if not isinstance(known, sitk.CompositeTransform):
        yield known
        return
    for number in range(known.GetNumberOfTransforms()):
        yield from _parts(sitk, known.GetNthTransform(number))


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise FormatError(f"{path.name}: transforms are files that end in {', '.join(SUFFIXES)}")
