"""SEG and parametric maps of ours in the eyes of dciodvfy, dcentvfy, dcmqi and highdicom, and theirs in ours."""

import json
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pytest
import SimpleITK as sitk
from hospital import complaints, inconsistencies, phantom_hu, phantom_labels, tool, write_ct
from pydicom import dcmread
from pydicom.dataset import Dataset

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read
from vesalius.io.dicom import (
    read_origin,
    read_parametric_map,
    read_seg,
    read_series,
    write_parametric_map,
    write_seg,
)
from vesalius.io.dicom.segmentation import Kind

KINDS: tuple[Kind, ...] = ("binary", "fractional", "labelmap")


def _phantom(folder: Path, shared: Path | None):
    labels = phantom_labels()
    return labels, write_ct(folder / "ct", labels.grid, phantom_hu(labels)), None


def _real_mr(folder: Path, shared: Path | None):
    """Oblique and anisotropic; its labels are drawn by thresholds."""
    if shared is None:
        pytest.skip("the real data sets of ../shared/data are not here")
    place = shared / "brain_mr_dicom"
    image = read_series(place, series="11")
    array = np.digitize(image.array[0], np.percentile(image.array, [70, 90, 99])).astype(np.uint8)
    array[:, :, (0, 1, -1)] = 0  # nothing at the ends
    return LabelMap(array, image.grid, Labels.of({"brain": 1, "left kidney": 2, "tumour": 3})), place, "11"


def _real_ct(folder: Path, shared: Path | None):
    if shared is None:
        pytest.skip("the real data sets of ../shared/data are not here")
    place = shared / "lung_ct_rtstruct" / "ct"
    image = read_series(place)
    array = (image.array[0] < -500).astype(np.uint8) + 2 * (image.array[0] > 200)
    return LabelMap(array.astype(np.uint8), image.grid, Labels.of({"lung": 1, "bone": 2})), place, None


@pytest.fixture(scope="module", params=[_phantom, _real_mr, _real_ct], ids=["phantom", "mr", "ct"])
def case(request, tmp_path_factory):
    """Labels, the series that they were drawn on, and its files."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = tmp_path_factory.mktemp("case")
    labels, place, series = request.param(folder, shared if shared.is_dir() else None)
    origin = read_origin(place, series=series)
    uid = origin.headers[0].SeriesInstanceUID
    found = {p: dcmread(p, stop_before_pixels=True, force=True) for p in place.rglob("*") if p.is_file()}
    files = [path for path, header in found.items() if header.get("SeriesInstanceUID") == uid]
    return labels, origin, files


@pytest.fixture(params=KINDS)
def written(case, request, tmp_path):
    """A SEG of each kind."""
    write_seg(case[0], tmp_path / "seg.dcm", case[1], kind=request.param)
    return request.param, tmp_path / "seg.dcm"


def _grid_of(image) -> Grid:
    direction = np.reshape(image.GetDirection(), (3, 3))
    return Grid.from_spacing(image.GetSize(), image.GetSpacing(), origin_mm=image.GetOrigin(), direction=direction)


def _run(*arguments: object) -> None:
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_validators_find_no_error(case, written):
    kind, path = written
    if kind == "labelmap":  # younger than Debian's dciodvfy of 2022: the documented exception
        assert any("Information Object Not found" in line for line in complaints(path))
        return
    # What is wrong in the source stays wrong in what is copied from it: nothing may be added.
    assert complaints(path) == []
    assert inconsistencies([path, *case[2]]) == inconsistencies(case[2])


@pytest.mark.parametrize("kind", ["binary", "labelmap"])  # fractions it reads as they are stored, 0 to 255
def test_dcmqi_reads_the_same_voxels_at_the_same_place(case, tmp_path, kind):
    labels, path = case[0], tmp_path / "seg.dcm"
    write_seg(labels, path, case[1], kind=kind)
    out = tmp_path / "dcmqi"
    out.mkdir()
    _run(tool("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", out, "--prefix", "s", "-t", "nrrd")
    meta = json.loads((out / "s-meta.json").read_text())
    segments = [one for group in meta["segmentAttributes"] for one in group]
    found = np.zeros(labels.grid.shape, np.uint8)
    for file in out.glob("s-*.nrrd"):
        image = sitk.ReadImage(str(file))
        assert _grid_of(image).shape == labels.grid.shape
        assert _grid_of(image).corner_distance_mm(labels.grid) < 2e-3  # dcmqi keeps 6 digits of the cosines
        array = sitk.GetArrayFromImage(image).T
        found[array > 0] = array[array > 0]
    np.testing.assert_array_equal(found, labels.array)
    named = {one["labelID"]: one["SegmentLabel"] for one in segments if one["labelID"]}
    present = {label.value: label.name for label in labels.labels.labels if label.value in labels.counts()}
    assert {value: named[value] for value in present} == present


def test_highdicom_reads_the_same_voxels_at_the_same_place(case, written):
    kind, path = written
    labels = case[0]
    seg = highdicom.seg.segread(path)
    volume = seg.get_volume(combine_segments=kind != "fractional", rescale_fractional=False, dtype=np.uint8)
    array = volume.array
    if kind == "fractional":
        assert set(np.unique(array)) <= {0, 255}
        array = ((array == 255) * np.arange(1, array.shape[-1] + 1)).sum(-1)
    # Slices, rows, columns; either end of the slices may come first.
    turned = volume.affine[:3, [2, 1, 0]]
    flip = np.dot(turned[:, 2], labels.grid.affine[:3, 2]) < 0
    expected = labels.array.transpose(2, 1, 0)
    np.testing.assert_array_equal(array, expected[::-1] if flip else expected)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turned, volume.affine[:3, 3]
    if flip:
        affine[:3, 3] += turned[:, 2] * (labels.grid.shape[2] - 1)
        affine[:3, 2] *= -1
    assert Grid(labels.grid.shape, affine).corner_distance_mm(labels.grid) < 1e-3
    uids = {str(header.SOPInstanceUID) for header in case[1].headers}
    assert {str(uid) for _, _, uid in seg.get_source_image_uids()} == uids


@pytest.mark.filterwarnings("ignore:The string .* is unlikely to represent the intended person name")
def test_a_segmentation_of_highdicom_is_read(case, tmp_path):
    labels, _, files = case
    sources = [dcmread(file, stop_before_pixels=True) for file in files]
    sources.sort(key=lambda d: np.dot(d.ImagePositionPatient, labels.grid.affine[:3, 2]))
    described = [
        highdicom.seg.SegmentDescription(
            n + 1,
            name,
            highdicom.sr.CodedConcept("91723000", "SCT", "Anatomical Structure"),
            highdicom.sr.CodedConcept("10200004", "SCT", "Liver"),
            "MANUAL",
        )
        for n, name in enumerate(labels.labels.names)
    ]
    made = highdicom.seg.Segmentation(
        sources, np.ascontiguousarray(labels.array.transpose(2, 1, 0)), "BINARY", described,
        highdicom.UID(), 1, highdicom.UID(), 1, "Maker", "Model", "1", "1",
    )  # fmt: skip
    made.save_as(tmp_path / "seg.dcm")
    found = read_seg(tmp_path / "seg.dcm")
    ks = np.flatnonzero(labels.array.any(axis=(0, 1)))  # empty slices at the ends are not in the file
    np.testing.assert_array_equal(found.array, labels.array[..., ks[0] : ks[-1] + 1])
    assert np.abs(found.grid.to_points((0, 0, 0)) - labels.grid.to_points((0, 0, ks[0]))).max() < 0.01
    assert found.labels.names == labels.labels.names


def test_parametric_maps(case, tmp_path, rng):
    labels, origin, files = case
    image = Volume(rng.random((1, *labels.grid.shape)).astype(np.float32), labels.grid)
    write_parametric_map(image, tmp_path / "map.dcm", origin, names=["likelihood"])
    assert complaints(tmp_path / "map.dcm") == []
    assert inconsistencies([tmp_path / "map.dcm", *files]) == inconsistencies(files)
    np.testing.assert_array_equal(read_parametric_map(tmp_path / "map.dcm").array, image.array)
    # dcmqi 1.5.7 dies of maps that do not name the anatomy of each frame, those of highdicom too: it is added for it.
    named = dcmread(tmp_path / "map.dcm")
    anatomy = Dataset()
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [highdicom.sr.CodedConcept("38266002", "SCT", "Entire body")]
    named.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    named.save_as(tmp_path / "named.dcm")
    to_itk = tool("paramap2itkimage")
    _run(to_itk, "--inputDICOM", tmp_path / "named.dcm", "--outputDirectory", tmp_path, "--prefix", "p", "-t", "nrrd")
    theirs = sitk.ReadImage(str(tmp_path / "p-pmap.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(theirs).T, image.array[0])
    assert _grid_of(theirs).corner_distance_mm(labels.grid) < 2e-3
    volume = highdicom.imread(tmp_path / "map.dcm").get_volume(apply_real_world_transform=True)
    turned, expected = volume.affine[:3, 0], image.array[0].transpose(2, 1, 0)
    flip = np.dot(turned, labels.grid.affine[:3, 2]) < 0
    np.testing.assert_array_equal(volume.array, expected[::-1] if flip else expected)


def test_segmentations_of_others_agree_with_dcmqi(shared_data):
    folder = shared_data / "dicom_oddities" / "ct_3slice_with_seg"
    liver = read_seg(folder / "liver.dcm")
    theirs = sitk.ReadImage(str(folder / "liver_seg.nrrd"))
    np.testing.assert_array_equal(liver.array, sitk.GetArrayFromImage(theirs).T)
    assert liver.grid.corner_distance_mm(_grid_of(theirs)) < 1e-3
    assert liver.grid.corner_distance_mm(read(folder / "ct").grid) < 1e-3
    # Three single files, the same segmentation in syntaxes that pydicom has no decoder for.
    for name in ("liver_rle", "liver_deflate"):
        found = read_seg(shared_data / "dicom_oddities" / "single_files" / f"{name}.dcm")
        np.testing.assert_array_equal(found.array, liver.array)
    odd = read_seg(shared_data / "dicom_oddities" / "single_files" / "liver_nonbyte_aligned_rle.dcm")
    np.testing.assert_array_equal(odd.array, liver.array[:510, :510])


def test_overlapping_segments_of_others_are_kept_as_dcmqi_splits_them(shared_data):
    folder = shared_data / "dicom_oddities" / "ct_3slice_with_seg"
    found = read_seg(folder / "partial_overlaps.dcm")
    theirs = [sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"partial_overlaps-{n}.nrrd"))).T for n in (1, 2, 3)]
    segments = [item.SegmentLabel for item in dcmread(folder / "partial_overlaps.dcm").SegmentSequence]
    for number, name in enumerate(segments, start=1):
        mine = found.binary(name)
        assert any(np.array_equal(mine, array == number) for array in theirs), name
