"""Cleaning files: canaries planted in every corner are gone, voxels and place are as they were."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from vesalius.errors import PrivacyError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read, write
from vesalius.privacy.files import CLEANERS, clean_file, suffix_of, voxel_files

CANARY = "Kanarie^Piet"
GRID = Grid(
    (5, 4, 3), np.array([[0.0, -1.0, 0.5, 7], [1.5, 0.0, 0.0, -20], [0.0, 0.25, 3.0, 31], [0, 0, 0, 1]], dtype=float)
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


def everything(folder: Path) -> bytes:
    """All names and contents of a folder, inflated too."""
    parts = []
    for path in sorted(folder.rglob("*")):
        parts.append(path.name.encode())
        data = path.read_bytes()
        parts += [data, gzip.decompress(data)] if data.startswith(b"\x1f\x8b") else [data]
    return b"\n".join(parts)


def noise(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "int16") -> np.ndarray:
    return rng.integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_keeps_numbers_and_loses_text(tmp_path: Path, out: Path, rng: np.random.Generator, kind, order: str):
    image = kind(noise(rng, (5, 4, 3, 2)), np.diag([-2.0, 3.0, 4.0, 1.0]), kind.header_class(endianness=order))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.5
    for field in ("descrip", "aux_file", "intent_name"):
        image.header[field] = CANARY.encode()
    if kind is nib.Nifti1Image:
        image.header["db_name"] = CANARY.encode()
        image.header["glmax"] = 19620305
    image.header["toffset"] = 19620305
    image.header["intent_p1"] = 19620305
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", CANARY.encode()))
    image.header.extensions.append(nib.nifti1.Nifti1Extension(4, b"<name>" + CANARY.encode()))
    data = image.to_bytes() + CANARY.encode()
    path = tmp_path / f"{CANARY}.nii"
    path.write_bytes(data)

    found = clean_file(path, out, name="a1")

    assert found.sure
    assert len(found.actions) >= 5
    assert CANARY.encode() not in everything(out)
    assert CANARY not in repr(found)
    made = nib.load(out / "a1.nii")
    assert np.array_equal(np.asanyarray(made.dataobj), np.asanyarray(image.dataobj))
    assert np.array_equal(made.affine, image.affine)
    assert made.header["pixdim"][4] == 2.5
    assert made.header.get_xyzt_units() == ("mm", "sec")
    assert [float(made.header[name]) for name in ("toffset", "intent_p1")] == [0, 0]
    assert len(made.header.extensions) == 0
    (out / "again").mkdir()
    assert clean_file(out / "a1.nii", out / "again", name="a1").actions == ()
    assert (out / "again" / "a1.nii").read_bytes() == (out / "a1.nii").read_bytes()


def test_nifti_scaling_is_kept_as_it_is_stored(tmp_path: Path, out: Path, rng: np.random.Generator):
    image = nib.Nifti1Image(noise(rng, (5, 4, 3)), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii.gz")
    clean_file(tmp_path / "a.nii.gz", out, name="b")
    made = nib.load(out / "b.nii.gz")
    assert made.get_data_dtype() == np.int16
    assert np.array_equal(made.get_fdata(), nib.load(tmp_path / "a.nii.gz").get_fdata())


def test_gzip_loses_the_name_that_it_noted(tmp_path: Path, out: Path, rng: np.random.Generator):
    write(Volume(noise(rng, (1, 5, 4, 3)), GRID), tmp_path / "a.nii")
    with (tmp_path / "a.nii.gz").open("wb") as raw, gzip.GzipFile(f"{CANARY}.nii", "wb", fileobj=raw) as file:
        file.write((tmp_path / "a.nii").read_bytes())
    found = clean_file(tmp_path / "a.nii.gz", out, name="a")
    assert found.actions == ("removed the name that gzip had noted",)
    assert CANARY.encode() not in everything(out)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd", ".npz"])
def test_a_volume_keeps_its_voxels_and_its_place(tmp_path: Path, out: Path, rng: np.random.Generator, suffix: str):
    volume = Volume(noise(rng, (1, *GRID.shape)), GRID)
    path = tmp_path / f"{CANARY}{suffix}"
    write(volume, path)
    before = {path, *voxel_files(path)}
    assert before == set(tmp_path.glob(f"{CANARY}*"))
    assert clean_file(path, out, name="a").sure
    made = read(out / f"a{suffix}")
    assert np.array_equal(made.array, volume.array)
    assert np.allclose(made.grid.affine, GRID.affine, atol=1e-5)
    assert CANARY.encode() not in everything(out)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".npz"])
def test_names_of_labels_are_free_text(tmp_path: Path, out: Path, suffix: str):
    array = np.zeros(GRID.shape, np.uint8)
    array[1] = 3
    write(LabelMap(array, GRID, Labels.of({CANARY: 3})), tmp_path / f"a{suffix}")
    assert clean_file(tmp_path / f"a{suffix}", out, name="b").sure
    assert CANARY.encode() not in everything(out)
    assert np.array_equal(read(out / f"b{suffix}").array[0], array)


def test_nrrd_loses_comments_keys_and_content(tmp_path: Path, out: Path, rng: np.random.Generator):
    voxels = noise(rng, (2, 3, 4))
    head = (
        f"NRRD0005\n# {CANARY}\ntype: short\ndimension: 3\nspace: RAS\nsizes: 2 3 4\nendian: little\n"
        f"space directions: (1,0,0) (0,1,0) (0,0,1)\ncontent: {CANARY}\nencoding: raw\nname:={CANARY}\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + voxels.tobytes(order="F") + CANARY.encode())
    assert clean_file(tmp_path / "a.nrrd", out, name="b").sure
    assert CANARY.encode() not in everything(out)
    made, known = read(out / "b.nrrd"), read(tmp_path / "a.nrrd")
    assert np.array_equal(made.array, known.array)
    assert np.array_equal(made.grid.affine, known.grid.affine)


def test_metaimage_loses_fields(tmp_path: Path, out: Path, rng: np.random.Generator):
    write(Volume(noise(rng, (1, *GRID.shape)), GRID), tmp_path / "a.mhd")
    text = (tmp_path / "a.mhd").read_text()
    (tmp_path / "a.mhd").write_text(text.replace("NDims", f"Comment = {CANARY}\nName = {CANARY}\nNDims"))
    assert clean_file(tmp_path / "a.mhd", out, name="b").sure
    assert CANARY.encode() not in everything(out)
    assert np.array_equal(read(out / "b.mhd").array, read(tmp_path / "a.mhd").array)


def png(mode: str, *, interlaced: bool = False) -> bytes:
    """A picture of noise with a canary in every kind of chunk, in the pixels' stream and behind the end."""
    rng = np.random.default_rng(5)
    shape = {"RGB": (13, 9, 3), "RGBA": (13, 9, 4), "LA": (13, 9, 2)}.get(mode, (13, 9))
    if mode == "1":
        picture = Image.fromarray(rng.integers(0, 2, shape).astype(bool))
    elif mode == "I;16":
        picture = Image.fromarray(rng.integers(0, 60000, shape).astype(np.uint16))
    elif mode == "P":
        picture = Image.fromarray(rng.integers(0, 255, shape).astype(np.uint8), "L").convert("P")
    else:
        picture = Image.fromarray(rng.integers(0, 255, shape).astype(np.uint8))
    told = PngImagePlugin.PngInfo()
    told.add_text("Name", CANARY)
    told.add_text("Name", CANARY, zip=True)
    told.add_itxt("Name", CANARY)
    told.add(b"caNa", CANARY.encode())
    exif = Image.Exif()
    exif[0x010E] = CANARY
    exif[0x0112] = 6
    held = io.BytesIO()
    picture.save(held, "PNG", pnginfo=told, dpi=(300, 300), exif=exif, icc_profile=CANARY.encode())
    data = held.getvalue()
    more = zlib.compress(CANARY.encode(), 0)
    at = data.index(b"IEND") - 4
    chunk = struct.pack(">I", len(more)) + b"IDAT" + more + struct.pack(">I", zlib.crc32(b"IDAT" + more))
    return data[:at] + chunk + data[at:] + CANARY.encode()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_keeps_pixels_size_and_orientation(tmp_path: Path, out: Path, mode: str):
    (tmp_path / "a.png").write_bytes(png(mode))
    found = clean_file(tmp_path / "a.png", out, name="b")
    assert found.sure
    assert {"removed EXIF of the PNG", "removed text of the PNG", "removed bytes behind the end of the PNG"} <= set(
        found.actions
    )
    assert CANARY.encode() not in everything(out)
    with Image.open(tmp_path / "a.png") as known, Image.open(out / "b.png") as made:
        assert made.mode == known.mode
        assert np.array_equal(np.asarray(made), np.asarray(known))
        assert made.info["dpi"] == known.info["dpi"]
        assert dict(made.getexif()) == {0x0112: 6}
    (out / "again").mkdir()
    assert clean_file(out / "b.png", out / "again", name="b").actions == ()
    assert (out / "again" / "b.png").read_bytes() == (out / "b.png").read_bytes()


def test_interlaced_png_is_whole(tmp_path: Path, out: Path):
    # Pillow writes no interlaced files: 5 x 3 pixels of 8-bit grey, pass after pass, each row behind a filter byte.
    picture = np.arange(15, dtype=np.uint8).reshape(3, 5) * 9
    adam7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    passes = [picture[y::dy, x::dx] for x, y, dx, dy in adam7]
    stream = b"".join(b"\0" + row.tobytes() for each in passes if each.size for row in each)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 5, 3, 8, 0, 0, 0, 1)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(stream)), chunk(b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert clean_file(tmp_path / "a.png", out, name="b").sure
    assert np.array_equal(np.asarray(Image.open(out / "b.png")), picture)


@pytest.mark.parametrize(("mode", "options"), [("L", {}), ("RGB", {"progressive": True}), ("CMYK", {})])
def test_jpeg_keeps_every_bit_of_its_pixels(tmp_path: Path, out: Path, rng: np.random.Generator, mode: str, options):
    picture = Image.fromarray(rng.integers(0, 255, (40, 24, 3)).astype(np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = CANARY, 3
    picture.save(
        tmp_path / "a.jpg", comment=CANARY, exif=exif, icc_profile=CANARY.encode(), restart_marker_rows=1, **options
    )
    data = (tmp_path / "a.jpg").read_bytes()
    iptc = b"Photoshop 3.0\0" + CANARY.encode()
    data = data[:2] + b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc + data[2:] + data + CANARY.encode()
    (tmp_path / "a.jpg").write_bytes(data)
    found = clean_file(tmp_path / "a.jpg", out, name="b")
    assert found.sure
    assert len(found.actions) == 5
    assert CANARY.encode() not in everything(out)
    with Image.open(tmp_path / "a.jpg") as known, Image.open(out / "b.jpg") as made:
        assert np.array_equal(np.asarray(made), np.asarray(known))
        assert dict(made.getexif()) == {0x0112: 3}
    (out / "again").mkdir()
    assert clean_file(out / "b.jpg", out / "again", name="b").actions == ()
    assert (out / "again" / "b.jpg").read_bytes() == (out / "b.jpg").read_bytes()


def test_tiff_is_written_anew_with_its_spacing(tmp_path: Path, out: Path, rng: np.random.Generator):
    pixels = noise(rng, (13, 9), "uint16")
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, description=CANARY, software=CANARY, datetime="1962:03:05 11:22:33",
        resolution=(50, 50), resolutionunit=3, extratags=[(65000, "s", 0, CANARY, True)],
    )  # fmt: skip
    assert clean_file(tmp_path / "a.tif", out, name="b").sure
    assert CANARY.encode() not in everything(out)
    assert b"1962" not in everything(out)
    made = read(out / "b.tif")
    assert np.array_equal(made.array[0].T, pixels)
    assert made.grid.spacing_mm == pytest.approx((0.2, 0.2))


def test_a_slide_with_its_label_is_for_a_person(tmp_path: Path, out: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((16, 16, 3), np.uint8), photometric="rgb")
        file.write(np.zeros((8, 12, 3), np.uint8), photometric="rgb", description="label")
    assert not clean_file(tmp_path / "a.tif", out, name="b").sure
    assert list(out.iterdir()) == []


def test_sidecar_keeps_numbers_and_known_words_only(tmp_path: Path, out: Path):
    told = {
        "Modality": "MR",
        "EchoTime": 0.00298,
        "SliceTiming": [0, 0.5, 1.0],
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "ScanningSequence": "GR_IR",
        "PatientName": CANARY,
        "AcquisitionTime": "11:22:33.5",
        "SeriesDescription": CANARY,
        "Manufacturer": CANARY,
        "ImageComments": CANARY,
        "RepetitionTime": 19620305,
        "FlipAngle": "9",
        CANARY: 5,
        "EchoNumber": {"nested": CANARY},
    }
    (tmp_path / "a.json").write_text(json.dumps(told))
    found = clean_file(tmp_path / "a.json", out, name="b")
    kept = json.loads((out / "b.json").read_text())
    assert kept == {
        name: told[name] for name in ("Modality", "EchoTime", "SliceTiming", "ImageType", "ScanningSequence")
    }
    assert found.actions == ("removed 9 of 14 entries of the sidecar",)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", b"[1, 2]"),
        ("a.json", b'{"name": "x"}'),
        ("a.json", b"{"),
        ("a.json", b"[" * 100_000),
        ("a.json", b"\xff\xfe"),
        ("a.bval", b"0 1000 Kanarie"),
        ("a.nii", b"short"),
        ("a.nii.gz", b"\x1f\x8bshort"),
        ("a.nii", bytes(128) + b"DICM"),
        ("a.nrrd", b"NRRD0005\ntype: Kanarie\ndimension: 1\nsizes: 1\n\n0"),
        ("a.png", b"\x89PNG\r\n\x1a\n"),
        ("a.jpg", b"\xff\xd8\xff"),
        ("a.tif", b"II*\0"),
        ("a.npy", b"\x93NUMPY"),
        ("a.pdf", b"%PDF"),
        ("a", b""),
        ("missing.nii", None),
    ],
)
def test_what_cannot_be_cleaned_is_for_a_person_and_is_not_written(tmp_path: Path, out: Path, name: str, data):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    found = clean_file(tmp_path / name, out, name="b")
    assert not found.sure
    assert "Kanarie" not in repr(found)
    assert list(out.iterdir()) == []


def test_gradients_are_numbers(tmp_path: Path, out: Path):
    (tmp_path / "a.bvec").write_text("0 0.70710678 -1e-3\n\n0 1 0\n")
    assert clean_file(tmp_path / "a.bvec", out, name="b").sure
    assert (out / "b.bvec").read_text() == "0 0.70710678 -0.001\n0 1 0\n"


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a.b", "a" * 129, "Jané"])
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str):
    with pytest.raises(PrivacyError, match="letters, digits"):
        clean_file(tmp_path / "a.nii", tmp_path, name=name)


def test_suffixes():
    assert suffix_of("A.NII.GZ") == ".nii.gz"
    assert suffix_of("a.dcm") is None
    assert set(CLEANERS) >= {".nii", ".nii.gz", ".hdr", ".nrrd", ".mha", ".mhd", ".png", ".jpg", ".tif", ".json"}


def test_a_header_that_names_a_file_elsewhere_takes_none_along(tmp_path: Path):
    (tmp_path / "secret.raw").write_bytes(b"1")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mhd").write_text("ObjectType = Image\nElementDataFile = ../secret.raw\n")
    assert voxel_files(tmp_path / "in" / "a.mhd") == ()
