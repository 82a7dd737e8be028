"""Take the face off heads that are stored as DICOM series or as volumes, before they are handed on."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from vesalius.errors import PrivacyError, VesaliusError
from vesalius.image import LabelMap, Volume
from vesalius.io import read, write
from vesalius.io.atomic import write_bytes
from vesalius.io.dicom.header import damage_is_a_format_error
from vesalius.io.dicom.origin import read_origin
from vesalius.io.dicom.quiet import quiet
from vesalius.io.dicom.series import read_series
from vesalius.privacy.deface import deface, face_mask
from vesalius.privacy.findings import Findings

BrainFinder = Callable[[Volume], LabelMap | None]
"""Finds the brain in an image, for example by a trained segmenter; ``None`` where the image is none that it is for."""

_WITH_FACES = ("CT", "MR", "PT")
_DONE = "took the face off the head"
_KEPT = "kept the brain that a segmenter found in it"
_DOUBT = "a face may be in it: it is not surely a whole head, from which the face could be taken"
_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".npz")
_PAIRS = (".hdr", ".mhd", ".nhdr")


def deface_series(folder: Path, *, find_brain: BrainFinder | None = None) -> Findings:
    """Take the face off the head of one series of CT, MR or PET; files of other kinds stay as they are.

    Voxels of the face get the least stored value of their file; the rest of the pixels keeps every bit.

    Args:
        folder: Holds the files of one series, de-identified but for the face; they are replaced.
        find_brain: Asked for the brain, which is then kept; see `vesalius.privacy.deface.deface`.

    Returns:
        What was done; with a doubt the files are not to be handed on.
    """
    files = sorted(folder.glob("*.dcm"))
    with quiet:
        headers = [dcmread(path, stop_before_pixels=True) for path in files]
    if all(str(header.get("Modality")) not in _WITH_FACES or "Rows" not in header for header in headers):
        return Findings()
    try:
        with damage_is_a_format_error(folder):
            masks, kept = _masks(folder, files, find_brain)
            written = [(path, _defaced(path, masks[path])) for path in files]
    except VesaliusError:
        return Findings(doubts=(_DOUBT,))
    for path, data in written:
        write_bytes(path, data)
    return Findings((_DONE, *kept))


def deface_file(path: Path, *, find_brain: BrainFinder | None = None) -> Findings:
    """Take the face off a head in NIfTI, NRRD or MetaImage; the file is replaced.

    Args:
        path: The file.
        find_brain: As for `deface_series`.

    Returns:
        What was done; with a doubt the file is not to be handed on. Pictures and sidecars stay as they are.
    """
    name = path.name.lower()
    if name.endswith(_PAIRS):
        return Findings(doubts=(_DOUBT,))  # a header and its voxels cannot be replaced at once
    if not name.endswith(_VOLUMES):
        return Findings()
    try:
        image = read(path)
        brain, kept = _brain(image, find_brain)
        write(deface(image, brain=brain), path)
    except VesaliusError:
        return Findings(doubts=(_DOUBT,))
    return Findings((_DONE, *kept))


def _brain(image: Volume, find: BrainFinder | None) -> tuple[LabelMap | None, tuple[str, ...]]:
    brain = None if find is None else find(image)
    return brain, () if brain is None else (_KEPT,)


def _masks(
    folder: Path, files: list[Path], find_brain: BrainFinder | None
) -> tuple[dict[Path, dict[int, NDArray[np.bool_]]], tuple[str, ...]]:
    """Where the face is in each frame of each file, as ``(rows, columns)``; and whether a brain was found."""
    origin = read_origin(folder)
    image: Volume = read_series(folder)
    if len(origin.headers) != len(files) or image.array.shape[0] != 1 or image.grid.ndim != len("xyz"):
        raise PrivacyError("the series is not one volume")
    brain, kept = _brain(image, find_brain)
    face = face_mask(image, brain=brain).array > 0
    masks: dict[Path, dict[int, NDArray[np.bool_]]] = defaultdict(dict)
    for place, (header, frame) in enumerate(origin.frames):
        path = folder / f"{origin.headers[header].SOPInstanceUID}.dcm"
        masks[path][frame] = face[:, :, place].T
    return masks, kept


def _defaced(path: Path, masks: dict[int, NDArray[np.bool_]]) -> bytes:
    with quiet:
        dataset = dcmread(path)
        frames = int(dataset.get("NumberOfFrames") or 1)
        big = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
        if "PixelData" not in dataset or dataset.SamplesPerPixel != 1 or len(masks) != frames or big:
            raise PrivacyError("its pixels cannot be replaced frame by frame")
        pixels = np.array(dataset.pixel_array).reshape(frames, dataset.Rows, dataset.Columns)
        inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
        black = pixels.max() if inverted else pixels.min()
        for frame, where in masks.items():
            pixels[frame - 1][where] = black
        value = pixels.tobytes()
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
                if keyword in dataset:
                    del dataset[keyword]
        del dataset.PixelData
        dataset.add_new(0x7FE00010, "OW" if dataset.BitsAllocated > 8 else "OB", value + bytes(len(value) % 2))
        dataset.RecognizableVisualFeatures = "NO"
        held = io.BytesIO()
        syntax = dataset.file_meta.TransferSyntaxUID
        dcmwrite(held, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=True)
    return held.getvalue()
