"""Surfaces in DICOM: an STL file wrapped up with the patient and the study that it was made from, and out again."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedSTLStorage

from vesalius.errors import FormatError
from vesalius.image import Code
from vesalius.io.dicom.derived import LARGEST_ELEMENT, begin, coded, enter_frame_of_reference, refer, reference, save
from vesalius.io.dicom.header import damage_is_a_format_error
from vesalius.io.dicom.origin import Origin
from vesalius.io.dicom.quiet import quiet

_MILLIMETRE = Code("UCUM", "mm", "mm")
_MEDIA_TYPE = "model/stl"
_SERIES = 902  # number of the new series, past those of a scanner
_HEADER, _FACET = 84, 50  # bytes of a binary STL


def write_model(
    stl: bytes,
    path: str | os.PathLike[str],
    origin: Origin,
    *,
    title: str = "Surface",
    description: str = "Surfaces",
    recognisable: bool = True,
) -> None:
    """Write an STL as a DICOM object in the study of the series that it was made from.

    Patient and study are those of the series; nothing else of the patient goes in, no file's name and no path.

    Args:
        stl: A binary STL, in millimetres, in the patient's axes (LPS): as `vesalius.mesh.files.stl.encode` makes it.
        path: The file, usually ``.dcm``.
        origin: The series: see `vesalius.io.dicom.origin.read_origin`.
        title: Of the document, shown in lists; not a patient's name.
        description: Of the new series.
        recognisable: Whether somebody may recognise the patient in the surface. A surface with skin is a face; what is
            known not to be one may say so.

    Raises:
        FormatError: It is no binary STL, is larger than DICOM allows, or the series says no study.
        VesaliusError: The system refused to write.

    Source: DICOM PS3.3 A.85.1 (Encapsulated STL IOD), C.24 (Encapsulated Document), C.35.1 (Manufacturing 3D Model).
    """
    _require_stl(stl)
    if len(stl) + 1 > LARGEST_ELEMENT:
        raise FormatError("the STL is larger than the 4 GiB that DICOM allows: simplify the surfaces")
    made = begin(
        origin,
        EncapsulatedSTLStorage,
        modality="M3D",
        description=description,
        series_number=_SERIES,
        texts=(title,),
    )
    enter_frame_of_reference(made, origin)
    made.AcquisitionDateTime = _acquired(origin.headers[0])
    made.BurnedInAnnotation = "NO"
    made.RecognizableVisualFeatures = "YES" if recognisable else "NO"
    made.ConceptNameCodeSequence = []  # which kind of model it is, is for its user to say
    made.DocumentTitle = title[:1024]
    made.MIMETypeOfEncapsulatedDocument = _MEDIA_TYPE
    made.SourceInstanceSequence = [reference(header) for header in origin.headers]
    made.MeasurementUnitsCodeSequence = [coded(_MILLIMETRE)]
    made.EncapsulatedDocumentLength = len(stl)
    made.EncapsulatedDocument = stl + b"\0" * (len(stl) % 2)
    refer(made, origin)
    save(made, path)


def read_model(path: str | os.PathLike[str]) -> bytes:
    """Take the STL out of a DICOM object.

    Args:
        path: A file that holds an encapsulated STL.

    Returns:
        The STL as it was put in; millimetres, LPS.

    Raises:
        FormatError: The file holds something else, is damaged, or its unit is not the millimetre.
    """
    file = Path(path)
    with quiet, damage_is_a_format_error(file):
        found = dcmread(file)
        storage = str(found.get("SOPClassUID", ""))
        data = found.get("EncapsulatedDocument")
        length = int(found.get("EncapsulatedDocumentLength") or 0)
        units: Sequence[Dataset] = found.get("MeasurementUnitsCodeSequence") or []
        unit = str(units[0].get("CodeValue", "")) if units else ""
    if storage != EncapsulatedSTLStorage or not isinstance(data, bytes):
        raise FormatError(f"{file.name}: holds no encapsulated STL")
    if unit != _MILLIMETRE.value:
        raise FormatError(f"{file.name}: its unit is not the millimetre, the only one that is read")
    # Older writers do not tell the length; then the byte that makes it even stays.
    stl = data[:length] if 0 < length <= len(data) else data
    if not length:
        with suppress(struct.error):
            stl = data[: _HEADER + _FACET * struct.unpack_from("<I", data, _HEADER - 4)[0]]
    return stl


def _require_stl(stl: bytes) -> None:
    count = struct.unpack_from("<I", stl, _HEADER - 4)[0] if len(stl) >= _HEADER else -1
    if len(stl) != _HEADER + _FACET * count or stl.startswith(b"solid"):
        raise FormatError("what is put into DICOM must be a whole binary STL file")


def _acquired(source: Dataset) -> str:
    """When the images were acquired, as far as the series says."""
    with suppress(Exception):
        if source.get("AcquisitionDateTime"):
            return str(source.AcquisitionDateTime)
        if source.get("AcquisitionDate"):
            return f"{source.AcquisitionDate}{source.get('AcquisitionTime') or ''}"
    return ""
