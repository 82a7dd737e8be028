"""What is fuzzed: functions that take any bytes, and may end in nothing but a result or an error of Vesalius."""

from __future__ import annotations

import contextlib
import gzip
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vesalius.errors import VesaliusError
from vesalius.image import Grid
from vesalius.io import read, read_labels

Target = Callable[[bytes], None]

# One folder for each process, in memory where the system has such a place.
_MEMORY = Path("/dev/shm")
_HELD = tempfile.TemporaryDirectory(prefix="fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None)
FOLDER = Path(_HELD.name)
_GRID = Grid((16, 16, 4), np.eye(4))


def dicom(data: bytes) -> None:
    """A DICOM file: as an image, as what another object is derived from, as labels, contours, a report and a cine."""
    path = _file("input.dcm", data)
    from vesalius.io.dicom import cine, list_series, origin

    _refused_or_done(lambda: read(path))
    _refused_or_done(lambda: list_series(path))
    _refused_or_done(lambda: origin.read_origin(path))
    _refused_or_done(lambda: [len(frame.array) for frame in cine.play(cine.describe_cine(path))])
    for reader in _derived():
        _refused_or_done(lambda reader=reader: reader(path))


def series(data: bytes) -> None:
    """A folder of up to four DICOM files, which stand one after another behind their lengths."""
    folder = FOLDER / "series"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for number in range(4):
        if len(data) < 4:
            break
        (length,) = struct.unpack("<L", data[:4])
        (folder / f"{number}.dcm").write_bytes(data[4 : 4 + length])
        data = data[4 + length :]
    _refused_or_done(lambda: read(folder))


def frames(data: bytes) -> None:
    """A compressed frame below a sound header: what the decoders of C make of it."""
    if len(data) < 2:
        return
    from vesalius.io.dicom import pixels
    from vesalius.io.dicom.codestream import declared_size

    syntax = list(pixels._DECODERS)[data[0] % len(pixels._DECODERS)]
    frame = data[1:]
    rows, columns, samples = declared_size(frame) or (8, 8, 1)
    if not 0 < rows * columns <= 1 << 20 or not 0 < rows < 1 << 16 > columns or samples not in (1, 3):
        return
    made = _sound_header(rows, columns, samples, allocated=8 if samples == 3 or frame[-1] % 2 else 16)
    made.file_meta.TransferSyntaxUID = syntax
    from pydicom.encaps import encapsulate

    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    path = FOLDER / "input.dcm"
    made.save_as(path, enforce_file_format=True)
    _refused_or_done(lambda: read(path))


def nifti(data: bytes) -> None:
    """NIfTI, plain, and as it would be inside gzip."""
    path = _file("input.nii", data)
    _refused_or_done(lambda: read(path))
    _refused_or_done(lambda: read_labels(path))
    packed = _file("input.nii.gz", gzip.compress(data, 1))
    _refused_or_done(lambda: read(packed))


def headers(data: bytes) -> None:
    """NRRD, MetaImage and NumPy, as the first byte chooses."""
    suffix = (".nrrd", ".mha", ".npy", ".npz", ".nhdr", ".mhd")[data[0] % 6] if data else ".nrrd"
    path = _file(f"input{suffix}", data[1:])
    _refused_or_done(lambda: read(path))
    _refused_or_done(lambda: read_labels(path))


def pictures(data: bytes) -> None:
    """PNG, JPEG, BMP and TIFF, as the first byte chooses."""
    suffix = (".png", ".jpg", ".bmp", ".tif")[data[0] % 4] if data else ".png"
    path = _file(f"input{suffix}", data[1:])
    _refused_or_done(lambda: read(path))


def node(data: bytes) -> None:
    """What comes over the network to the DICOM node."""
    import network

    network.node(data)


def prepare(target: str) -> None:
    """Load what a target needs, which on a busy machine can take longer than an input may."""
    if target == "node":
        import network

        network.start()
    elif target in ("dicom", "series", "frames"):
        _derived()


TARGETS: dict[str, Target] = {
    "dicom": dicom,
    "series": series,
    "frames": frames,
    "nifti": nifti,
    "headers": headers,
    "pictures": pictures,
    "node": node,
}


def _derived() -> list[Callable[[Path], Any]]:
    from vesalius.io.dicom import contours, parametric, report, segments

    return [
        segments.read_seg,
        segments.read_fractions,
        parametric.read_parametric_map,
        contours.read_structures,
        lambda path: contours.read_rtstruct(path, _GRID),
        report.read_report,
    ]


def _sound_header(rows: int, columns: int, samples: int, *, allocated: int) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import MRImageStorage

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = made.SeriesInstanceUID = "1.2.3"
    made.Rows, made.Columns, made.SamplesPerPixel = rows, columns, samples
    made.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    made.PlanarConfiguration, made.PixelRepresentation = 0, 0
    made.BitsAllocated = made.BitsStored = allocated
    made.HighBit = allocated - 1
    return made


def _file(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def _refused_or_done(act: Callable[[], Any]) -> None:
    with contextlib.suppress(VesaliusError):
        act()
