"""What is fuzzed: functions that take any bytes, and may end in nothing but a result or an error of Vesalius."""

from __future__ import annotations

import contextlib
import functools
import gzip
import importlib
import re
import struct
import tempfile
from collections.abc import Callable, Iterator
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
_SEALED_NAME = re.compile(r"vault\.json|index-[0-9a-f]{32}|objects/[0-9a-f]{32}")
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
    for number, content in zip(range(4), _parts(data), strict=False):
        (folder / f"{number}.dcm").write_bytes(content)
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


def vault(data: bytes) -> None:
    """A vault: the key that opens it and the names of its files, a line each, then the files behind their lengths."""
    from vesalius.privacy.keys import Identity
    from vesalius.privacy.vault import find_damage, member, open_vault

    key, _, rest = data.partition(b"\n")
    line, _, rest = rest.partition(b"\n")
    folder = FOLDER / "vault"
    (folder / "objects").mkdir(parents=True, exist_ok=True)
    names = [name for name in line[:2000].decode("latin-1").split(" ") if _SEALED_NAME.fullmatch(name)]
    for name, content in zip(names, _parts(rest), strict=False):
        (folder / name).write_bytes(content)

    def work() -> None:
        opened = open_vault(folder, Identity(key.decode("latin-1")))
        find_damage(opened)
        with member(opened, "").lent() as plain:
            for path in plain.rglob("*"):
                assert path.resolve().is_relative_to(plain)

    _refused_or_done(work)
    for name in names:
        (folder / name).unlink(missing_ok=True)


def bundle(data: bytes) -> None:
    """A bundle: a zip, a folder with this description, or a file of weights, as the first byte chooses."""
    from vesalius.bundle import Bundle
    from vesalius.bundle.lineage import find_bundles, patients_of, read_provenance, withdrawn_from
    from vesalius.bundle.tensors import weights_from_bytes

    kind, data = (data[0] % 3, data[1:]) if data else (0, data)
    if kind == 2:
        _refused_or_done(lambda: weights_from_bytes(data, "input"))
        return
    place = _file("input.zip", data) if kind == 0 else _bundle_folder()
    if kind == 1:
        (place / "bundle.json").write_bytes(data)

    def told() -> None:
        for found in find_bundles(place if place.is_dir() else place.parent):
            provenance = read_provenance(found)
            patients_of(provenance, "0" * 32)
            withdrawn_from(provenance)

    _refused_or_done(lambda: withdrawn_from(Bundle.load(place).provenance))
    _refused_or_done(told)


def node(data: bytes) -> None:
    """What comes over the network to the DICOM node."""
    import network

    network.node(data)


def dimse(data: bytes) -> None:
    """What a known caller sends to the DICOM node."""
    import dimse as known

    known.dimse(data)


def dicomweb(data: bytes) -> None:
    """Requests to the DICOMweb server, and objects stored in it."""
    import web

    web.dicomweb(data)


def prepare(target: str) -> None:
    """Load what a target needs: on a busy machine that outlasts an input's time, and coverage follows no other."""
    for name in _LOADED[target]:
        importlib.import_module(name)
    if target == "node":
        import network

        network.start()
    elif target == "dimse":
        import dimse as known

        known.start()
    elif target == "dicomweb":
        import web

        web.start()
    elif target == "bundle":
        _bundle_folder()


TARGETS: dict[str, Target] = {
    "dicom": dicom,
    "series": series,
    "frames": frames,
    "nifti": nifti,
    "headers": headers,
    "pictures": pictures,
    "vault": vault,
    "bundle": bundle,
    "node": node,
    "dimse": dimse,
    "dicomweb": dicomweb,
}

_DICOM = (
    "vesalius.io.dicom",
    "vesalius.io.dicom.cine",
    "vesalius.io.dicom.contours",
    "vesalius.io.dicom.objects",
    "vesalius.io.dicom.parametric",
    "vesalius.io.dicom.report",
    "vesalius.io.dicom.segments",
)
_LOADED = {
    "dicom": _DICOM,
    "series": _DICOM,
    "frames": _DICOM,
    "nifti": ("vesalius.io.nifti",),
    "headers": ("vesalius.io.nrrd", "vesalius.io.metaimage", "vesalius.io.npy"),
    "pictures": ("vesalius.io.raster", "vesalius.io.tiff"),
    "vault": ("vesalius.privacy.vault", "vesalius.io.npy"),
    "bundle": ("vesalius.bundle", "vesalius.bundle.lineage"),
    "node": ("vesalius.server.node.listen",),
    "dimse": ("vesalius.server.node.listen", "vesalius.server.node.commitment"),
    "dicomweb": ("vesalius.server.dicomweb.app", *_DICOM),
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


@functools.cache
def _bundle_folder() -> Path:
    """A folder with sound weights, for descriptions that are not."""
    return small_bundle().save(FOLDER / "bundle")


def small_bundle() -> Any:
    """The built-in bundle's plan with next to no weights: how a bundle is read matters, not what it finds."""
    from dataclasses import replace

    from vesalius.bundle import Bundle

    sound = Bundle.load("hippocampus")
    weights = {"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float32)}
    marked = {"lineage": [{"register": "0" * 32, "purpose": "training", "patients": ["a" * 32]}]}
    marked["withdrawn"] = [{"register": "0" * 32, "at": "2026-11-22T10:00:00+00:00", "patients": ["a" * 32]}]
    partner = replace(sound, members=(weights,))
    return replace(sound, members=(weights, weights), partners=(partner,), provenance=marked)


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


def _parts(data: bytes) -> Iterator[bytes]:
    """What stands one after another behind lengths of four bytes, little endian."""
    while len(data) >= 4:
        (length,) = struct.unpack("<L", data[:4])
        yield data[4 : 4 + length]
        data = data[4 + length :]


def _file(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def _refused_or_done(act: Callable[[], Any]) -> None:
    with contextlib.suppress(VesaliusError):
        act()
