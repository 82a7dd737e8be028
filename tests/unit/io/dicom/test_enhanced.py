"""What is made of an enhanced multi-frame image goes back as one; dciodvfy and highdicom look at it."""

import re
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicoms import Maker
from highdicom.legacy import LegacyConvertedEnhancedCTImage, LegacyConvertedEnhancedMRImage
from hospital import complaints, inconsistencies, phantom_hu, phantom_labels, write_ct
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, generate_uid

from vesalius.cli import main
from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid
from vesalius.io.dicom import read_origin, read_series, write_series
from vesalius.io.dicom.enhanced import is_enhanced, write_enhanced

_MR = {
    "SOPClassUID": MRImageStorage,
    "Modality": "MR",
    "ScanningSequence": "SE",
    "SequenceVariant": "NONE",
    "ScanOptions": "",
    "MRAcquisitionType": "3D",
    "RepetitionTime": "500",
    "EchoTime": "10",
    "EchoTrainLength": "1",
    "RescaleType": "US",
    "RescaleIntercept": 0,
    "KVP": None,
    "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
}


def legacy(tmp_path, modality):
    """A legacy-converted enhanced image that highdicom makes of a classic series."""
    labels = phantom_labels()
    hu = phantom_hu(labels) + (0 if modality == "CT" else 1024)
    write_ct(
        tmp_path / "classic", labels.grid, hu - (0 if modality == "CT" else 1024), **(_MR if modality == "MR" else {})
    )
    files = [pydicom.dcmread(path) for path in sorted((tmp_path / "classic").rglob("*.dcm"))]
    kind = {"CT": LegacyConvertedEnhancedCTImage, "MR": LegacyConvertedEnhancedMRImage}[modality]
    made = kind(files, generate_uid(), 5, generate_uid(), 1)
    made.save_as(tmp_path / "legacy.dcm")
    return tmp_path / "legacy.dcm"


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_it_comes_back_voxel_by_voxel_and_validators_find_no_error(tmp_path, modality):
    source = legacy(tmp_path, modality)
    image, origin = read_series(source), read_origin(source)
    assert image.meta.modality == modality
    changed = replace(image, array=np.ascontiguousarray(image.array[..., ::-1]))
    assert write_series(changed, tmp_path / "out", origin=origin) == 0
    (path,) = (tmp_path / "out").iterdir()
    back, made, before = read_series(path), pydicom.dcmread(path), pydicom.dcmread(source)
    assert np.array_equal(back.array, changed.array)
    assert back.grid.is_close(image.grid, tolerance_mm=1e-4)
    assert back.meta.unit == image.meta.unit
    assert complaints(path) == []
    assert [line for line in inconsistencies([source, path]) if line.startswith("Error")] == []
    assert made.SOPClassUID == before.SOPClassUID
    assert made.SeriesInstanceUID != before.SeriesInstanceUID
    assert made.StudyInstanceUID == before.StudyInstanceUID
    assert made.PatientName == before.PatientName
    assert made.ImageType[0] == "DERIVED"
    named = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in made.PerFrameFunctionalGroupsSequence]
    assert {one.ReferencedSOPInstanceUID for one in named} == {before.SOPInstanceUID}
    assert sorted(one.ReferencedFrameNumber for one in named) == list(range(1, 15))


def enhanced(tmp_path, frames=4, **more):
    """An enhanced MR whose frames have slopes of their own, out of order, with private elements."""
    make = Maker(tmp_path)
    pixels = np.random.default_rng(2).integers(0, 4096, (frames, 6, 8)).astype(np.uint16)
    order = [2, 0, 3, 1][:frames]
    places = [{"position": [1.5, -2.0, 3.0 * at], "slope": 0.1 * (1 + at), "intercept": -at} for at in order]
    made = make.enhanced(pixels, places, **more)
    made.PerFrameFunctionalGroupsSequence[0].add_new(0x20051000, "LO", "private")
    made.WindowCenter = 3
    return make.write(made, "enhanced.dcm")


def test_slopes_of_each_frame_lose_nothing(tmp_path):
    source = enhanced(tmp_path)
    image, origin = read_series(source), read_origin(source)
    assert write_series(image, tmp_path / "out", origin=origin) == 0
    made = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert np.array_equal(read_series(tmp_path / "out").array, image.array)
    slopes = [
        float(one.PixelValueTransformationSequence[0].RescaleSlope) for one in made.PerFrameFunctionalGroupsSequence
    ]
    assert np.allclose(slopes, [0.1, 0.2, 0.3, 0.4])
    assert made.SOPClassUID == EnhancedMRImageStorage
    assert "WindowCenter" not in made
    assert not [one for one in made.iterall() if one.tag.is_private]
    assert [one.FrameContentSequence[0].DimensionIndexValues for one in made.PerFrameFunctionalGroupsSequence] == [
        *(1, 2, 3, 4)
    ]


@pytest.mark.parametrize("name", ["mr_enhanced_philips", "mr_enhanced_lowfield"])
def test_those_of_scanners_come_back_and_validators_find_nothing_new(tmp_path, shared_data, name):
    (source,) = (shared_data / "dicom_oddities" / name).glob("*.dcm")
    image = read_series(source)
    assert write_series(image, tmp_path / "out", origin=read_origin(source)) == 0
    (path,) = (tmp_path / "out").iterdir()
    assert np.array_equal(read_series(path).array, image.array)

    def faults(file):
        return {re.sub(r"frame \d+", "frame", line) for line in complaints(file)}

    assert faults(path) <= faults(source)


def test_values_that_no_slope_gives_are_as_near_as_sixteen_bits_allow(tmp_path):
    source = enhanced(tmp_path)
    image, origin = read_series(source), read_origin(source)
    changed = replace(image, array=image.array * np.float32(np.pi))
    error = write_series(changed, tmp_path / "out", origin=origin)
    span = float(np.ptp(changed.array))
    assert 0 < error <= 0.51 * span / 65535
    assert np.abs(read_series(tmp_path / "out").array - changed.array).max() <= error + 1e-3


def test_other_grids_and_modalities_become_classic_series(tmp_path):
    source = enhanced(tmp_path)
    image, origin = read_series(source), read_origin(source)
    grid = Grid.from_spacing((8, 6, 4), (1.0, 1.0, 1.0))
    moved = replace(image, grid=grid)
    assert not is_enhanced(moved, origin)
    write_series(moved, tmp_path / "classic", origin=origin)
    assert len(list((tmp_path / "classic").iterdir())) == 4
    with pytest.raises(GeometryError, match="another grid"):
        write_enhanced(moved, tmp_path / "x.dcm", origin)
    other = replace(image, meta=replace(image.meta, modality="CT"))
    with pytest.raises(DataError, match="same modality"):
        write_enhanced(other, tmp_path / "x.dcm", origin)
    assert not (tmp_path / "x.dcm").exists()


def test_the_command_line_writes_it(tmp_path, capsys):
    source = legacy(tmp_path, "CT")
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", "series", "--source", str(source)]) == 0
    capsys.readouterr()
    (path,) = (tmp_path / "out").iterdir()
    assert np.array_equal(read_series(path).array, read_series(source).array)
    assert complaints(path) == []
