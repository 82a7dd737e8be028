"""Sound files, small and of every kind, that the fuzzer begins with and damages."""

from __future__ import annotations

import struct
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    UltrasoundImageStorage,
)

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read, write
from vesalius.io.dicom.origin import read_origin
from vesalius.io.dicom.pixels import _DECODERS
from vesalius.io.dicom.segmentation import write_seg
from vesalius.io.dicom.structures import write_rtstruct

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from dicoms import Maker  # noqa: E402

_REAL = ROOT.parent / "shared" / "data" / "dicom_oddities"
_LARGEST = 60_000


def write_seeds(target: str, folder: Path) -> int:
    """Write the seeds of a target into a folder; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for number, data in enumerate(_SEEDS[target](), start=1):
        (folder / f"{number:03d}").write_bytes(data)
    return number


def _dicom() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as place:
        yield from (path.read_bytes() for path in _dicom_files(Path(place)))
    for path in sorted(_REAL.rglob("*.dcm")):
        if path.stat().st_size <= _LARGEST:
            yield path.read_bytes()


def _dicom_files(folder: Path) -> Iterator[Path]:
    make = Maker(folder)
    ramp = np.arange(4 * 6 * 8, dtype=np.int16).reshape(4, 6, 8)
    for number, made in enumerate(make.stack(ramp[:2])):
        yield make.write(made, f"ct/{number}.dcm")
    for syntax, little in ((ImplicitVRLittleEndian, True), (ExplicitVRBigEndian, False)):
        made = make.image(ramp[0].astype("<u2"), storage=MRImageStorage)
        made.file_meta.TransferSyntaxUID = syntax
        yield make.write(made, f"{syntax}.dcm", implicit_vr=little, little_endian=little)
    made = make.image(ramp[0])
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    yield make.write(made, "deflated.dcm")
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        made = make.image(np.arange(32 * 32, dtype=np.uint16).reshape(32, 32), storage=MRImageStorage)
        made.compress(syntax, encoding_plugin="pydicom" if syntax == RLELossless else "")
        yield make.write(made, f"{syntax}.dcm")
    places = [{"position": (0, 0, 2 * k), "echo": 1 + k % 2} for k in range(4)]
    yield make.write(make.enhanced(ramp.astype(np.uint16), places), "enhanced.dcm")
    yield make.write(make.image(ramp.astype(np.uint8), storage=UltrasoundImageStorage, FrameTime="40"), "cine.dcm")
    colour = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    yield make.write(make.image(colour, storage=UltrasoundImageStorage), "colour.dcm")
    made = make.image(ramp[0].astype(np.uint8), storage=UltrasoundImageStorage)
    made.PhotometricInterpretation = "PALETTE COLOR"
    for name in ("Red", "Green", "Blue"):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [8, 0, 16])
        segments = struct.pack("<10H", 0, 2, 1, 900, 1, 3, 60_000, 2, 1, 0)
        setattr(made, f"Segmented{name}PaletteColorLookupTableData", segments)
    yield make.write(made, "palette.dcm")
    yield from _derived(folder)


def _derived(folder: Path) -> Iterator[Path]:
    origin = read_origin(folder / "ct")
    array = np.zeros(origin.grid.shape, np.uint8)
    array[1:6, 1:5], array[3, 3] = 1, 0
    labels = LabelMap(array, origin.grid, Labels.of({"liver": 1}))
    write_seg(labels, folder / "seg.dcm", origin)
    write_rtstruct(labels, folder / "rtstruct.dcm", origin)
    yield from (folder / "seg.dcm", folder / "rtstruct.dcm")
    yield from _objects(folder)


def _objects(folder: Path) -> Iterator[Path]:
    """What is derived from a series, each kind that is written and read."""
    from vesalius.io.dicom.capture import draw, write_capture
    from vesalius.io.dicom.parametric import write_parametric_map
    from vesalius.io.dicom.report import write_report
    from vesalius.metrics.size import measure

    origin, image = read_origin(folder / "ct"), read(folder / "ct")
    array = np.zeros(origin.grid.shape, np.uint8)
    array[1:6, 1:5], array[3, 3], array[5:7, 1:3] = 1, 0, 2
    labels = LabelMap(array, origin.grid, Labels.of({"liver": 1, "lesion": 2}, regions={"organ": (1, 2)}))
    shares = np.stack([np.where(array == value, 0.75, 0.1) for value in (1, 2)]).astype(np.float32)
    probabilities = Volume(shares, origin.grid)
    write_seg(labels, folder / "fractional.dcm", origin, kind="fractional", probabilities=probabilities)
    write_seg(labels, folder / "labelmap.dcm", origin, kind="labelmap")
    write_seg(labels, folder / "regions.dcm", origin, regions=True)
    write_parametric_map(probabilities, folder / "map.dcm", origin)
    write_capture(draw(image, labels), folder / "capture.dcm", origin)
    write_report(measure(labels, image), folder / "report.dcm", origin, segmentation=folder / "regions.dcm")
    yield from (folder / f"{name}.dcm" for name in ("fractional", "labelmap", "regions", "map", "capture", "report"))


def _series() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as place:
        make = Maker(Path(place))
        ramp = np.arange(4 * 4 * 6, dtype=np.int16).reshape(4, 4, 6)
        for name, how in (("plain", {}), ("tilt", {"step": (0, 0.5, 3)}), ("gap", {"positions": [0, 1, 2, 5]})):
            files = [make.write(made, f"{name}/{n}.dcm") for n, made in enumerate(make.stack(ramp, **how))]
            yield _behind_lengths(file.read_bytes() for file in files)


def _frames() -> Iterator[bytes]:
    syntaxes = list(_DECODERS)
    with tempfile.TemporaryDirectory() as place:
        for path in _dicom_files(Path(place)):
            made = dcmread(path)
            if (syntax := made.file_meta.TransferSyntaxUID) in syntaxes:
                yield bytes([syntaxes.index(syntax)]) + next(generate_frames(made.PixelData, number_of_frames=1))
    for path in sorted(_REAL.rglob("*.dcm")):
        made = dcmread(path, force=True)
        syntax = getattr(made.file_meta, "TransferSyntaxUID", None)
        if syntax in syntaxes and "PixelData" in made:
            frame = next(generate_frames(made.PixelData, number_of_frames=int(made.get("NumberOfFrames", 1) or 1)))
            if len(frame) <= _LARGEST:
                yield bytes([syntaxes.index(syntax)]) + frame
    from io import BytesIO

    from PIL import Image

    for syntax, form, mode in (("4.50", "JPEG", "L"), ("4.50", "JPEG", "RGB"), ("4.91", "JPEG2000", "RGB")):
        out = BytesIO()
        Image.new(mode, (16, 8), 77 if mode == "L" else (9, 99, 200)).save(out, form, no_jp2=True)
        yield bytes([syntaxes.index(f"1.2.840.10008.1.2.{syntax}")]) + out.getvalue()


def _written(suffixes: tuple[str, ...], *, chosen: bool) -> Iterator[bytes]:
    grid = Grid((5, 4, 3), np.array([[0, 2.0, 0, -9], [-1, 0, 0, 8], [0, 0, 3, 7], [0, 0, 0, 1]]))
    picture = Grid((6, 4), np.eye(3))
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        for number, suffix in enumerate(suffixes):
            flat = suffix in (".png", ".jpg", ".bmp", ".tif")
            shape = picture if flat else grid
            image = Volume(rng.integers(0, 255, (1, *shape.shape), np.uint8), shape)
            labels = LabelMap(rng.integers(0, 3, shape.shape, np.uint8), shape, Labels.of({"a": 1, "b": 2}))
            for thing in (image, labels):
                if suffix == ".npy":
                    np.save(Path(place) / "a.npy", thing.array)
                elif suffix != ".jpg" or thing is image:
                    write(thing, Path(place) / f"a{suffix}")
                yield bytes([number] * chosen) + (Path(place) / f"a{suffix}").read_bytes()


def _vault() -> Iterator[bytes]:
    from vesalius.privacy.keys import new_identity
    from vesalius.privacy.vault import add, create_vault

    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "a").write_bytes(bytes(range(256)) * 8)
        (Path(place) / "b").write_bytes(b"")
        for count in (0, 1, 2):
            identity, recipient = new_identity()
            folder = Path(place) / f"vault-{count}"
            made = create_vault(folder, [recipient])
            if count:
                made = add(made, {f"in/{name}": Path(place) / name for name in ("a", "b")[:count]})
            files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
            names = " ".join(path.relative_to(folder).as_posix() for path in files)
            yield f"{identity.text}\n{names}\n".encode() + _behind_lengths(path.read_bytes() for path in files)


def _bundle() -> Iterator[bytes]:
    from targets import small_bundle

    with tempfile.TemporaryDirectory() as place:
        folder = small_bundle().save(Path(place) / "bundle")
        yield b"\1" + (folder / "bundle.json").read_bytes()
        yield b"\2" + next(folder.glob("*.safetensors")).read_bytes()
        for way in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
            with zipfile.ZipFile(Path(place) / "a.zip", "w", way) as archive:
                for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                    archive.write(path, path.relative_to(place))
            yield b"\0" + (Path(place) / "a.zip").read_bytes()


def _behind_lengths(parts: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack("<L", len(data)) + data for data in parts)


def _node() -> Iterator[bytes]:
    import network

    with tempfile.TemporaryDirectory() as place:
        make = Maker(Path(place))
        path = make.write(make.image(np.zeros((4, 6), np.int16), SOPInstanceUID="1.2.3"))
        data = path.read_bytes()
        yield from network.seeds(data[data.index(b"\x08\x00\x08\x00CS") :])


def _dimse() -> Iterator[bytes]:
    import dimse

    with tempfile.TemporaryDirectory() as place:
        make = Maker(Path(place))
        made = make.image(np.zeros((4, 6), np.int16), SOPInstanceUID="1.2.3")
        data = make.write(made).read_bytes()
        yield from dimse.seeds(iter([data[data.index(b"\x08\x00\x08\x00CS") :]]))


def _dicomweb() -> Iterator[bytes]:
    import web

    with tempfile.TemporaryDirectory() as place:
        yield from web.seeds(path.read_bytes() for path in _dicom_files(Path(place)))


_SEEDS = {
    "dicom": _dicom,
    "series": _series,
    "frames": _frames,
    "node": _node,
    "dimse": _dimse,
    "dicomweb": _dicomweb,
    "vault": _vault,
    "bundle": _bundle,
    "nifti": lambda: _written((".nii",), chosen=False),
    "headers": lambda: _written((".nrrd", ".mha", ".npy", ".npz", ".nhdr", ".mhd"), chosen=True),
    "pictures": lambda: _written((".png", ".jpg", ".bmp", ".tif"), chosen=True),
}
