"""Write what was found in an image: to a file, or to the patient's study when it is to be DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume
from vesalius.io import format_of, is_dicom, write
from vesalius.io.layouts.files import stem

if TYPE_CHECKING:
    from vesalius.io.dicom import Origin


def source_of(target: Path, images: Sequence[Path], series: str | None) -> Origin | None:
    """The series that a DICOM result belongs to; None for a result in a file of another format.

    To be asked for before anything is computed.

    Args:
        target: Of the label map.
        images: The files of the image, or its one DICOM file or folder.
        series: Which series of a folder.

    Raises:
        DataError: The result is to be DICOM, and the image is not.
        FormatError: The series cannot be read.
    """
    if format_of(target) != ".dcm":
        return None
    if len(images) != 1 or not is_dicom(images[0]):
        raise DataError(
            f"{target.name}: only of a DICOM series can the result be DICOM; choose .nii.gz, .nrrd, .mha, .npz or "
            ".png, or add it to a study with `vesalius convert --source SERIES`"
        )
    from vesalius.io.dicom import read_origin

    return read_origin(images[0], series=series)


def write_labels(found: LabelMap, target: Path, origin: Origin | None, name: str) -> None:
    """Write a label map; as a binary SEG where there is a series that it belongs to.

    Args:
        found: What was found.
        target: The file.
        origin: The series, from `source_of`.
        name: Of the segmenter.
    """
    if origin is None:
        write(found, target)
        return
    from vesalius.io.dicom import write_seg

    write_seg(found, target, origin, algorithm_name=f"Vesalius {name}".strip())


def write_probabilities(found: Volume, target: Path, origin: Origin | None, outputs: Sequence[str]) -> Path:
    """Write probabilities beside the label map: NIfTI, or a parametric map beside a SEG of a volume.

    Args:
        found: A channel for each output.
        target: The file of the label map.
        origin: The series, from `source_of`.
        outputs: Their names.

    Returns:
        The file that was written.
    """
    name = f"{stem(target)}-probabilities"
    if origin is None or found.grid.ndim == 2:
        path = target.with_name(f"{name}.nii.gz")
        write(found, path)
        return path
    from vesalius.io.dicom import write_parametric_map

    path = target.with_name(f"{name}.dcm")
    write_parametric_map(found, path, origin, names=outputs, description="Probabilities")
    return path
