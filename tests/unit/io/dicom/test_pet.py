"""PET goes out as PET: units, slopes of slices, what the SUV is worked out from; dciodvfy looks at it."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from hospital import complaints, inconsistencies, oblique_grid, write_ct
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from vesalius.image import Meta, Volume
from vesalius.io.dicom import read_origin, read_series, write_series
from vesalius.io.dicom.stored import store_above_zero, store_as_before

GRID = oblique_grid((9, 7, 5))


def tracer():
    item = Dataset()
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = "370000000", "6586.2"
    item.RadiopharmaceuticalStartTime, item.Radiopharmaceutical = "090000", "FDG"
    item.RadionuclideCodeSequence = []
    return item


def write_pet(folder):
    """A PET of Bq/ml whose slices have a slope each."""
    values = np.random.default_rng(1).integers(0, 3000, GRID.shape) - 1024
    write_ct(
        folder,
        GRID,
        values,
        SOPClassUID=PositronEmissionTomographyImageStorage,
        Modality="PT",
        **dict.fromkeys(("KVP", "RescaleType"), None),
        ImageType=["ORIGINAL", "PRIMARY"],
        RescaleIntercept=0,
        Units="BQML",
        CountsSource="EMISSION",
        SeriesType=["STATIC", "IMAGE"],
        NumberOfSlices=5,
        CorrectedImage=["ATTN", "DECY"],
        DecayCorrection="START",
        CollimatorType="NONE",
        RadiopharmaceuticalInformationSequence=[tracer()],
        SeriesDate="20260203",
        SeriesTime="100000",
        AcquisitionDate="20260203",
        AcquisitionTime="100100",
        FrameReferenceTime=90000,
        ActualFrameDuration=120000,
        DecayFactor=1.01,
        DoseCalibrationFactor=1,
        PatientWeight="71",
    )
    for path in sorted(folder.rglob("*.dcm")):
        made = pydicom.dcmread(path)
        made.RescaleSlope, made.ImageIndex = f"{0.37 * (1 + made.InstanceNumber):.6g}", made.InstanceNumber
        made.save_as(path)
    return folder


def files(folder):
    return sorted(folder.iterdir())


def test_a_pet_comes_back_voxel_by_voxel_with_its_suv(tmp_path):
    source = write_pet(tmp_path / "pet")
    image = read_series(source)
    assert (image.meta.modality, image.meta.unit) == ("PT", "Bq/ml")
    assert image.meta.suv_factor is not None
    assert write_series(image, tmp_path / "out", origin=read_origin(source)) == 0
    back = read_series(tmp_path / "out")
    assert np.array_equal(back.array, image.array)
    assert back.grid.is_close(image.grid, tolerance_mm=1e-4)
    assert back.meta.unit == "Bq/ml"
    assert back.meta.suv_factor == pytest.approx(image.meta.suv_factor, rel=1e-9)
    for path in files(tmp_path / "out"):
        made = pydicom.dcmread(path)
        assert made.SOPClassUID == PositronEmissionTomographyImageStorage
        assert (made.Units, made.RescaleIntercept, made.NumberOfSlices) == ("BQML", 0, 5)
        assert made.RescaleSlope == f"{0.37 * (1 + made.InstanceNumber):.6g}"
        assert complaints(path) == []
    every = [*source.rglob("*.dcm"), *files(tmp_path / "out")]
    assert [line for line in inconsistencies(every) if line.startswith("Error")] == []


def test_uptake_values_are_g_per_ml(tmp_path):
    source = write_pet(tmp_path / "pet")
    image = read_series(source)
    suv = replace(
        image,
        array=(image.array * np.float32(image.meta.suv_factor)).astype(np.float32),
        meta=replace(image.meta, unit="g/ml", suv_factor=1.0),
    )
    error = write_series(suv, tmp_path / "out", origin=read_origin(source))
    assert 0 <= error <= 0.51 * float(suv.array.max()) / 65535
    back = read_series(tmp_path / "out")
    assert (back.meta.unit, back.meta.suv_factor) == ("g/ml", 1.0)
    assert np.abs(back.array - suv.array).max() <= error + 1e-6
    assert pydicom.dcmread(files(tmp_path / "out")[0]).SUVType == "BW"
    assert complaints(files(tmp_path / "out")[0]) == []


@pytest.mark.parametrize(
    ("unit", "units", "low"), [("Bq/ml", "BQML", 0), ("g/ml", "GML", 0), ("", "NONE", 0), ("counts", "CNTS", -50)]
)
def test_a_pet_of_nobody_is_one_too(tmp_path, unit, units, low):
    values = np.linspace(low, 1000, int(np.prod(GRID.shape)))
    image = Volume(values.reshape(1, *GRID.shape).astype(np.float32), GRID, Meta(modality="PT", unit=unit))
    error = write_series(image, tmp_path / "out")
    back = read_series(tmp_path / "out")
    assert np.abs(back.array - image.array).max() <= error + 1e-4 <= 0.02
    made = pydicom.dcmread(files(tmp_path / "out")[0])
    assert (made.Modality, made.Units, made.RescaleIntercept) == ("PT", units, 0)
    assert made.PixelRepresentation == (low < 0)
    assert complaints(files(tmp_path / "out")[0]) == []


def test_a_slope_of_before_is_used_only_where_it_is_exact():
    values = (np.arange(10) * np.float64("0.37")).astype(np.float32)
    found = store_as_before(values, "0.37", "0", signed=False)
    assert found is not None
    assert found.array.tolist() == list(range(10))
    assert store_as_before(values + np.float32(0.1), "0.37", "0", signed=False) is None
    assert store_as_before(values, "0", "0", signed=False) is None
    assert store_as_before(-values, "0.37", "0", signed=False) is None
    assert store_as_before(-values, "0.37", "0", signed=True) is not None
    assert store_above_zero(np.zeros((2, 2)), signed=False).slope == "1"
