"""Images, places and bundles that cannot be right: a clear line, exit code 1, and nothing half written."""

import errno
import gzip
import os
import re
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from phantoms import ball_case, ball_dataset, untrained_bundle
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from vesalius.cli import main
from vesalius.image import Volume
from vesalius.io import read, read_labels, write

_SHAPE = (20, 18, 16)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)).save(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write(ball_case(1, shape=_SHAPE).image, tmp_path / "image.nii.gz")
    return tmp_path / "image.nii.gz"


# --- files that lie ---------------------------------------------------------------------------------------------------


def nifti_header(shape: tuple[int, ...] = _SHAPE, **fields: Any) -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header["dim"][: len(shape) + 1] = (len(shape), *shape)
    header["pixdim"][1:4] = 1
    header.set_sform(np.eye(4), 1)
    for name, value in fields.items():
        header[name] = value
    header["vox_offset"], header["magic"] = 352, b"n+1"
    return header.binaryblock + b"\0\0\0\0"


def lying_nifti(folder: Path) -> Path:
    """18 GB in 400 bytes."""
    (folder / "lying.nii").write_bytes(nifti_header((3000, 3000, 1000)) + bytes(48))
    return folder / "lying.nii"


def lying_gzip(folder: Path) -> Path:
    (folder / "lying.nii.gz").write_bytes(gzip.compress(nifti_header((3000, 3000, 1000))))
    return folder / "lying.nii.gz"


def bomb(folder: Path) -> Path:
    """A stream so long that it might inflate to what its header declares: a terabyte."""
    with (folder / "bomb.nii.gz").open("wb") as file:
        file.write(gzip.compress(nifti_header((32000, 32000, 500)) + bytes(1 << 20)))
        file.truncate(2 << 30)  # sparse: it takes no room
    return folder / "bomb.nii.gz"


def lying_nrrd(folder: Path) -> Path:
    (folder / "lying.nrrd").write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 3000 3000 1000\nendian: little\nencoding: raw\n\n" + bytes(300)
    )
    return folder / "lying.nrrd"


def lying_mha(folder: Path) -> Path:
    (folder / "lying.mha").write_bytes(
        b"ObjectType = Image\nNDims = 3\nDimSize = 3000 3000 1000\nElementType = MET_SHORT\n"
        b"ElementDataFile = LOCAL\n" + bytes(300)
    )
    return folder / "lying.mha"


def lying_npz(folder: Path) -> Path:
    head = b"{'descr': '<i2', 'fortran_order': False, 'shape': (3000, 3000, 1000), }"
    head = head.ljust(117) + b"\n"
    with zipfile.ZipFile(folder / "lying.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("array.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + bytes(100))
    return folder / "lying.npz"


def cut_off(folder: Path) -> Path:
    write(ball_case(1, shape=_SHAPE).image, folder / "whole.nii.gz")
    (folder / "cut.nii.gz").write_bytes((folder / "whole.nii.gz").read_bytes()[:-2000])
    return folder / "cut.nii.gz"


def nan_affine(folder: Path) -> Path:
    header = nifti_header(srow_x=(np.nan, 0, 0, 0), qform_code=0)
    (folder / "nan.nii").write_bytes(header + bytes(2 * 20 * 18 * 16))
    return folder / "nan.nii"


def singular_affine(folder: Path) -> Path:
    (folder / "flat.nrrd").write_bytes(
        b"NRRD0004\ntype: uchar\ndimension: 3\nspace: LPS\nsizes: 4 4 4\nencoding: raw\n"
        b"space directions: (1,0,0) (2,0,0) (0,0,1)\nspace origin: (0,0,0)\n\n" + bytes(64)
    )
    return folder / "flat.nrrd"


def nan_voxels(folder: Path) -> Path:
    array = ball_case(1, shape=_SHAPE).image.array[0].copy()
    array[3, 4, 5] = np.nan
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / "nan-voxels.nii.gz")
    return folder / "nan-voxels.nii.gz"


def no_image(folder: Path) -> Path:
    (folder / "letter.nii.gz").write_text("Dear colleague,")
    return folder / "letter.nii.gz"


def empty_file(folder: Path) -> Path:
    (folder / "empty.nii").touch()
    return folder / "empty.nii"


def other_suffix(folder: Path) -> Path:
    (folder / "image.xyz").write_bytes(b"x")
    return folder / "image.xyz"


def missing(folder: Path) -> Path:
    return folder / "nowhere.nii.gz"


def empty_folder(folder: Path) -> Path:
    (folder / "nothing").mkdir()
    return folder / "nothing"


FILES: dict[Callable[[Path], Path], str] = {
    lying_nifti: r"lying\.nii: the header declares 18,000,000,000 bytes .* the file holds 48",
    lying_gzip: r"lying\.nii\.gz: the header declares 18,000,000,000 bytes .* at most",
    bomb: r"bomb\.nii\.gz: the header declares .* GiB of voxels, more than this machine's memory",
    lying_nrrd: r"lying\.nrrd: .*18,000,000,000",
    lying_mha: r"lying\.mha: .*18,000,000,000",
    lying_npz: r"lying\.npz: .*18,000,000,000",
    cut_off: r"cut\.nii\.gz: .*(cut off|damaged)",
    nan_affine: r"nan\.nii: .*affine.* NaN",
    singular_affine: r"flat\.nrrd: .*singular",
    nan_voxels: r"nan-voxels\.nii\.gz: 1 of 5,760 voxels are NaN",
    no_image: r"letter\.nii\.gz: ",
    empty_file: r"empty\.nii: ",
    other_suffix: r"image\.xyz: unknown suffix",
    missing: r"nowhere\.nii\.gz: there is no such file or folder",
    empty_folder: r"nothing: no layout recognised; it holds no file",
}


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__)
def test_files_that_lie(make, bundle, tmp_path, refused):
    path = make(tmp_path)
    tracemalloc.start()
    try:
        told = refused("segment", path, "--bundle", bundle, "-o", tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert re.search(FILES[make], told), told


def test_a_bomb_behind_a_small_image_does_not_go_off(image, bundle, tmp_path):
    """What follows the last voxel is not inflated."""
    (tmp_path / "long.nii.gz").write_bytes(gzip.compress(gzip.decompress(image.read_bytes()) + bytes(300 << 20), 1))
    tracemalloc.start()
    try:
        assert main(["show", str(tmp_path / "long.nii.gz")]) == 0
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


# --- DICOM series -----------------------------------------------------------------------------------------------------


def series(folder: Path, positions: list[float], **changes: Callable[[int, Any], None]) -> Path:
    """A series with slices at these places, each changed by the functions given."""
    place = folder / "series"
    place.mkdir(exist_ok=True)
    array = ball_case(2, shape=_SHAPE).image.array[0].astype(np.uint16)
    uid = generate_uid()
    for number, position in enumerate(positions):
        made: Any = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = MRImageStorage
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.StudyInstanceUID = made.SeriesInstanceUID = uid
        made.PatientName, made.PatientID, made.Modality = "DOE^JANE", "ID-4711", "MR"
        made.InstanceNumber, made.ImageType = number + 1, ["ORIGINAL", "PRIMARY"]
        made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, position], [1, 0, 0, 0, 1, 0]
        made.PixelSpacing, made.SliceThickness = [1, 1], 1
        made.Columns, made.Rows = array.shape[:2]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.PixelData = array[:, :, number].T.tobytes()
        for change in changes.values():
            change(number, made)
        made.save_as(place / f"{number:03d}.dcm", enforce_file_format=True)
    return place


def turn_one(number: int, made: Any) -> None:
    if number == 3:
        made.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


def shrink_one(number: int, made: Any) -> None:
    if number == 3:
        made.Rows, made.PixelData = 9, made.PixelData[: 2 * 9 * made.Columns]


EVEN = [float(k) for k in range(10)]


@pytest.mark.parametrize(
    ("positions", "changes", "words"),
    [
        ([p for p in EVEN if p not in (4, 5)], {}, "2 slices missing"),
        ([0, 1, 2, 3, 4.4, 5.8, 6.8], {}, "not uniform"),
        ([*EVEN, 4.0], {}, "4 mm"),
        (EVEN, {"turned": turn_one}, "several image series"),
        (EVEN, {"shrunk": shrink_one}, "several image series"),
    ],
    ids=["missing", "uneven", "duplicate", "turned", "sizes"],
)
def test_series_that_are_no_volume(positions, changes, words, bundle, tmp_path, refused):
    told = refused("segment", series(tmp_path, positions, **changes), "--bundle", bundle, "-o", tmp_path / "out")
    assert words in told, told
    assert not {"DOE", "JANE", "4711"} & set(re.findall(r"\w+", told))


def test_a_cut_off_slice(bundle, tmp_path, refused):
    place = series(tmp_path, EVEN)
    (place / "004.dcm").write_bytes((place / "004.dcm").read_bytes()[:-300])
    told = refused("segment", place, "--bundle", bundle, "-o", tmp_path / "out")
    assert "004.dcm" in told


def test_two_series_want_a_choice(bundle, tmp_path, refused):
    place = series(tmp_path, EVEN)
    for number, path in enumerate(sorted(series(tmp_path / "series", EVEN).iterdir())):
        path.rename(place / f"other{number}.dcm")
    (place / "series").rmdir()
    told = refused("segment", place, "--bundle", bundle, "-o", tmp_path / "out")
    assert "choose one with" in told


def test_a_gantry_tilt_is_no_error(bundle, tmp_path):
    """It is read exactly, on a sheared grid, and the answer lies on that grid."""

    def tilt(number: int, made: Any) -> None:
        made.ImagePositionPatient = [0, 0.3 * number, number]

    place = series(tmp_path, EVEN, tilt=tilt)
    assert main(["segment", str(place), "--bundle", str(bundle), "-o", str(tmp_path / "out.nii.gz")]) == 0
    found = read_labels(tmp_path / "out.nii.gz").grid
    assert found.is_close(read(place).grid)
    assert not found.is_orthogonal


# --- images that do not suit the bundle -------------------------------------------------------------------------------


def test_images_that_do_not_suit_the_bundle(bundle, tmp_path, refused):
    case = ball_case(1, shape=_SHAPE).image
    write(ball_case(1, shape=(20, 18)).image, tmp_path / "flat.png.npy")
    write(Volume(np.repeat(case.array, 2, axis=0), case.grid), tmp_path / "two.nii.gz")
    np.save(tmp_path / "bare.npy", case.array[0])
    for name, words in {
        "flat.png.npy": "the image is 2D and the plan is for 3D",
        "two.nii.gz": "the image has 2 channels; the plan needs T1",
        "bare.npy": "no physical spacing",
    }.items():
        assert words in refused("segment", tmp_path / name, "--bundle", bundle, "-o", tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device", "cud"), "the device 'cud' is not there"),
        (("--device", "meta"), "the device 'meta' is not there"),
        (("--device", "cuda:99"), "the device 'cuda:99' is not there"),
        (("--overlap", "1.5"), "overlap must be 0 to less than 1, not 1.5"),
        (("--series", "1"), "series='1' is for DICOM"),
    ],
)
def test_arguments_that_cannot_be(arguments, words, image, bundle, tmp_path, refused):
    assert words in refused("segment", image, "--bundle", bundle, "-o", tmp_path / "out", *arguments)


# --- places -----------------------------------------------------------------------------------------------------------


def test_places_that_cannot_take_the_result(image, bundle, tmp_path, refused, monkeypatch):
    (tmp_path / "in-the-way").write_text("a letter")
    (tmp_path / "other").mkdir()
    shutil.copy(image, tmp_path / "other" / "image.nii.gz")
    # Whatever is refused is refused before it is computed.
    monkeypatch.setattr("vesalius.predict.folder.segment", lambda *_, **__: pytest.fail("computed in vain"))
    one, both = [image], [image, tmp_path / "other" / "image.nii.gz"]
    for images, out, words in (
        (one, "in-the-way", "in-the-way is a file; the results need a folder"),
        (one, "in-the-way/out.nii.gz", "in-the-way is a file; the results need a folder"),
        (one, ".", "would replace the image image.nii.gz itself"),
        (one, "image.nii.gz", "would replace the image image.nii.gz itself"),
        (one, "out.dcm", "only of a DICOM series can the result be DICOM"),
        (both, "out.nii.gz", "out.nii.gz names one file, and there are 2 images"),
        (both, "out", "several images would be written to one file (image.nii.gz)"),
    ):
        assert words in refused("segment", *images, "--bundle", bundle, "-o", tmp_path / out)


def test_a_read_only_result_stays(image, bundle, tmp_path, refused):
    (tmp_path / "out.nii.gz").write_text("kept")
    (tmp_path / "out.nii.gz").chmod(0o444)
    told = refused("segment", image, "--bundle", bundle, "-o", tmp_path / "out.nii.gz")
    assert "out.nii.gz: the file is read-only" in told
    assert (tmp_path / "out.nii.gz").read_text() == "kept"


def test_a_full_disk(image, bundle, tmp_path, refused, monkeypatch, small_disk):
    (tmp_path / "out").mkdir()
    with small_disk(1000):
        told = refused("segment", image, "--bundle", bundle, "-o", tmp_path / "out", "--probabilities")
    assert "larger than files may be here" in told

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write(ball_case(1, shape=_SHAPE).reference, tmp_path / "labels.nii.gz")
    monkeypatch.setattr(os, "fsync", full)
    told = refused("segment", image, "--bundle", bundle, "-o", tmp_path / "out")
    assert "cannot write image.nii.gz: the disk is full" in told
    told = refused("evaluate", tmp_path / "labels.nii.gz", tmp_path / "labels.nii.gz", "-o", tmp_path / "out")
    assert "cannot write scores.csv: the disk is full" in told


def test_no_room_for_the_logits(image, bundle, tmp_path, refused, monkeypatch):
    """They go to a temporary file where they are large; its room is taken before anything is computed."""
    monkeypatch.setattr("vesalius.predict.scratch.IN_MEMORY_BYTES", 0)

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    told = refused("segment", image, "--bundle", bundle, "-o", tmp_path / "out", "--probabilities")
    assert "cannot write intermediate results to the temporary folder: the disk is full" in told
