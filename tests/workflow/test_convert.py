"""`vesalius convert`: the whole way, between files and DICOM objects, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from hospital import complaints, oblique_grid, phantom_hu, phantom_labels, write_ct
from phantoms import ball_dataset, untrained_bundle
from pydicom import dcmread

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read, read_labels, write
from vesalius.io.dicom import read_fractions, read_parametric_map, read_seg, read_series


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Path:
    """A folder with a CT series, its labels as NIfTI, and the same labels on a finer grid."""
    folder = tmp_path_factory.mktemp("hospital")
    labels = phantom_labels()
    write_ct(folder / "ct", labels.grid, phantom_hu(labels))
    write(labels, folder / "labels.nii.gz")
    finer = labels.grid.with_spacing((0.35, 0.65, 1.55))
    from vesalius.transform import resample

    write(resample(labels, finer), folder / "finer.nii.gz")
    return folder


@pytest.fixture
def convert(capsys):
    """Run the verb; what it says for machines."""

    def run(*arguments: object) -> dict:
        code = main(["convert", *map(str, arguments), "--json"])
        out = capsys.readouterr()
        assert code == 0, out.err
        return json.loads(out.out)

    return run


@pytest.mark.parametrize("to", ["seg", "seg-fractional", "seg-labelmap", "rtstruct"])
def test_labels_to_dicom_and_back(hospital, tmp_path, convert, to):
    source = ("--source", hospital / "ct")
    told = convert(hospital / "labels.nii.gz", tmp_path / "out.dcm", "--to", to, *source)
    assert told["kind"] == to
    if to != "seg-labelmap":
        assert complaints(tmp_path / "out.dcm") == []
    told = convert(tmp_path / "out.dcm", tmp_path / "back.nrrd", *(source if to == "rtstruct" else ()))
    if to == "seg-fractional":  # shares are an image, unless labels are asked for
        assert told["kind"] == "image"
        convert(tmp_path / "out.dcm", tmp_path / "back.nrrd", "--to", "labels")
    found, labels = read_labels(tmp_path / "back.nrrd"), phantom_labels()
    np.testing.assert_array_equal(found.array, labels.array)
    assert found.labels.names == labels.labels.names
    assert found.grid.corner_distance_mm(labels.grid) < 1e-4


def test_names_in_the_file_make_a_seg(hospital, tmp_path, convert):
    told = convert(hospital / "labels.nii.gz", tmp_path / "out.dcm", "--source", hospital / "ct")
    assert (told["kind"], told["notes"]) == ("seg", [])


def test_another_grid_is_resampled_and_told(hospital, tmp_path, convert):
    told = convert(hospital / "finer.nii.gz", tmp_path / "out.dcm", "--source", hospital / "ct")
    assert told["notes"] == ["resampled to the grid of the source, 52 × 40 × 14"]
    np.testing.assert_array_equal(read_seg(tmp_path / "out.dcm").array, phantom_labels().array)


def test_a_seg_becomes_contours_and_a_seg_again(hospital, tmp_path, convert):
    source = ("--source", hospital / "ct")
    convert(hospital / "labels.nii.gz", tmp_path / "a.dcm", *source)
    convert(tmp_path / "a.dcm", tmp_path / "b.dcm", "--to", "rtstruct", *source)
    convert(tmp_path / "b.dcm", tmp_path / "c.dcm", "--to", "seg", *source)
    np.testing.assert_array_equal(read_seg(tmp_path / "c.dcm").array, phantom_labels().array)


def test_overlaps_are_told(hospital, tmp_path, convert):
    array = phantom_labels().array % 4
    labels = Labels.of({"core": 1, "oedema": 2, "enhancing": 3}, regions={"whole": (1, 2, 3), "tumour": (1, 3)})
    write(LabelMap(array, oblique_grid(), labels), tmp_path / "in.nrrd")
    convert(tmp_path / "in.nrrd", tmp_path / "out.dcm", "--regions", "--source", hospital / "ct")
    told = convert(tmp_path / "out.dcm", tmp_path / "back.nii.gz")
    assert "overlap" in told["notes"][0]
    found = read_labels(tmp_path / "back.nii.gz")
    for name, members in (("whole", (1, 2, 3)), ("tumour", (1, 3))):
        np.testing.assert_array_equal(found.binary(name), np.isin(array, members))


def test_probabilities(hospital, tmp_path, convert, rng):
    grid = oblique_grid()
    shares = rng.dirichlet(np.ones(2), grid.shape).astype(np.float32).transpose(3, 0, 1, 2)
    write(Volume(shares, grid), tmp_path / "p.nii.gz")
    source = ("--source", hospital / "ct")
    convert(
        tmp_path / "p.nii.gz", tmp_path / "seg.dcm", "--to", "seg-fractional", "--labels", "liver=1,lesion=2", *source
    )
    assert np.abs(read_fractions(tmp_path / "seg.dcm").array - shares).max() < 0.003
    assert read_labels(tmp_path / "seg.dcm").labels.names == ("liver", "lesion")
    convert(tmp_path / "p.nii.gz", tmp_path / "map.dcm", "--to", "parametric-map", *source)
    np.testing.assert_array_equal(read_parametric_map(tmp_path / "map.dcm").array, shares)
    convert(tmp_path / "map.dcm", tmp_path / "back.mha")
    np.testing.assert_array_equal(read(tmp_path / "back.mha").array, shares)


def test_a_series_to_files_and_back(hospital, tmp_path, convert):
    told = convert(hospital / "ct", tmp_path / "ct.nii.gz")
    assert told["kind"] == "image"
    told = convert(tmp_path / "ct.nii.gz", tmp_path / "again", "--source", hospital / "ct")
    assert (told["kind"], told["notes"]) == ("series", [])
    found = read_series(tmp_path / "again")
    np.testing.assert_array_equal(found.array, read_series(hospital / "ct").array)
    assert (found.meta.modality, found.meta.unit) == ("CT", "HU")
    files = [*(tmp_path / "again").iterdir(), *(hospital / "ct").iterdir()]
    assert len({dcmread(file).StudyInstanceUID for file in files}) == 1


def test_a_lossy_series_says_how_much(tmp_path, convert, rng):
    write(
        Volume(rng.random((1, 6, 5, 4)).astype(np.float32), Grid.from_spacing((6, 5, 4), (1, 1, 2))), tmp_path / "a.mha"
    )
    told = convert(tmp_path / "a.mha", tmp_path / "out", "--modality", "MR")
    assert "up to" in told["notes"][0]
    assert read_series(tmp_path / "out").meta.modality == "MR"


def test_drawings(hospital, tmp_path, convert):
    convert(hospital / "labels.nii.gz", tmp_path / "drawn.dcm", "--to", "capture", "--source", hospital / "ct")
    assert dcmread(tmp_path / "drawn.dcm").pixel_array.shape == (14, 40, 52, 3)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".mhd", ".npz", ".hdr"])
def test_between_image_formats(tmp_path, convert, suffix, rng):
    image = Volume(rng.integers(-9, 9, (1, 5, 4, 3)).astype(np.int16), Grid.from_spacing((5, 4, 3), (1, 2, 3)))
    write(image, tmp_path / "a.nii.gz")
    assert convert(tmp_path / "a.nii.gz", tmp_path / f"b{suffix}")["kind"] == "image"
    found = read(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(found.array, image.array)


def test_pictures(tmp_path, convert, rng):
    picture = Volume(rng.integers(0, 255, (3, 9, 7), dtype=np.uint8), Grid((9, 7), np.eye(3)), Meta(modality="RGB"))
    write(picture, tmp_path / "a.png")
    convert(tmp_path / "a.png", tmp_path / "dicom")
    convert(tmp_path / "dicom", tmp_path / "b.tif")
    np.testing.assert_array_equal(read(tmp_path / "b.tif").array, picture.array)
    write(Volume(np.uint8([[[0, 200, 255]]]), Grid((1, 3), np.eye(3))), tmp_path / "mask.png")
    told = convert(tmp_path / "mask.png", tmp_path / "mask.npz", "--binarise-above", 128)
    assert told["kind"] == "labels"
    assert read_labels(tmp_path / "mask.npz").array.tolist() == [[0, 1, 1]]


def test_what_is_refused(hospital, tmp_path, refused, rng):
    source = ("--source", hospital / "ct")
    plain = tmp_path / "plain.nii.gz"
    write(Volume(rng.random((1, 52, 40, 14)).astype(np.float32), oblique_grid()), plain)
    other = tmp_path / "flat.png"
    write(Volume(np.zeros((1, 4, 5), np.uint8), Grid((4, 5), np.eye(3))), other)
    for arguments, words in (
        (("nothing.nii", tmp_path / "b.nrrd"), "nothing.nii: there is no such file"),
        ((plain, plain), "would replace plain.nii.gz itself"),
        ((plain, tmp_path / "b.dcm"), "nothing says what plain.nii.gz shows"),
        ((plain, tmp_path / "b.dcm", "--to", "seg", *source), "not whole numbers"),
        ((hospital / "labels.nii.gz", tmp_path / "b.dcm"), "name that series with --source"),
        ((hospital / "labels.nii.gz", tmp_path / "b.dcm", "--source", plain), "not a DICOM image file"),
        ((hospital / "labels.nii.gz", tmp_path / "b.nii", "--to", "seg", *source), "is a .dcm file"),
        ((hospital / "labels.nii.gz", tmp_path / "b.dcm", "--to", "series"), "without a suffix"),
        ((hospital / "labels.nii.gz", tmp_path / "b.xyz"), "unknown suffix '.xyz'"),
        ((plain, tmp_path / "b", "--to", "image"), "name a file in a format for image"),
        ((plain, tmp_path / "b.nrrd", "--series", "3"), "is for DICOM"),
        ((other, tmp_path / "b.dcm", "--to", "parametric-map", *source), "2"),
    ):
        assert words in refused("convert", *arguments), arguments


def test_segment_writes_dicom(hospital, tmp_path, capsys):
    bundle = untrained_bundle(ball_dataset(3), patch_size=(16, 16, 16))
    bundle.save(tmp_path / "bundle")
    arguments = ["segment", hospital / "ct", "--bundle", tmp_path / "bundle", "--device", "cpu", "--probabilities"]
    assert main([str(a) for a in (*arguments, "-o", tmp_path / "out.dcm")]) == 0, capsys.readouterr().err
    found, chances = read_seg(tmp_path / "out.dcm"), read_parametric_map(tmp_path / "out-probabilities.dcm")
    assert found.labels.names == ("ball", "core")
    assert found.array.any()
    chosen = np.take_along_axis(chances.array, found.array[None].astype(int), axis=0)
    assert (chosen >= chances.array.max(0) - 1e-5).all()  # rounding decides between equals
    np.testing.assert_allclose(chances.array.sum(0), 1, atol=1e-5)
    for one in (found, chances):
        assert one.grid.corner_distance_mm(oblique_grid()) < 1e-4
    assert chances.meta.notes == ("a parametric map: background, ball, core",)
    for name in ("out.dcm", "out-probabilities.dcm"):
        assert complaints(tmp_path / name) == []
    made = dcmread(tmp_path / "out.dcm")
    assert made.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    assert made.SegmentSequence[0].SegmentAlgorithmName.startswith("Vesalius")


def test_real_sources(shared_data, tmp_path, convert):
    """Multi-frame, enhanced, ultrasound and X-ray files are sources like any other."""
    single = shared_data / "dicom_oddities" / "single_files"
    for name in ("eCT_Supplemental", "JPGLosslessP14SV1_1s_1f_8b", "RG3_J2KI"):
        image = read(single / f"{name}.dcm")
        array = (image.array[0] > np.percentile(image.array[0], 80)).astype(np.uint8)
        write(LabelMap(array, image.grid, Labels.of({"bright": 1})), tmp_path / f"{name}.npz")
        convert(tmp_path / f"{name}.npz", tmp_path / f"{name}.dcm", "--source", single / f"{name}.dcm")
        found = read_seg(tmp_path / f"{name}.dcm")
        np.testing.assert_array_equal(found.array, array)
        assert found.grid.is_close(image.grid, tolerance_mm=1e-3)
    folder = shared_data / "dicom_oddities" / "mr_enhanced_philips"
    image = read(folder)
    write(LabelMap((image.array[0] > 99).astype(np.uint8), image.grid, Labels.of({"b": 1})), tmp_path / "mr.nii.gz")
    convert(tmp_path / "mr.nii.gz", tmp_path / "mr.dcm", "--source", folder)
    np.testing.assert_array_equal(read_seg(tmp_path / "mr.dcm").array, image.array[0] > 99)
    # What is wrong in the source stays wrong in what is copied; nothing is added.
    assert set(complaints(tmp_path / "mr.dcm")) <= set(complaints(next(folder.iterdir())))
