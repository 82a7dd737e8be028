"""Standardised uptake values: the factor on paper, each maker's way, and every reason why there is none."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, PositronEmissionTomographyImageStorage

from vesalius.errors import DataError
from vesalius.io.dicom import read_series
from vesalius.transform import suv

HALF_LIFE = 6586.2


def tracer(**elements) -> Dataset:
    """70 kg would have got 350 MBq at 10 o'clock."""
    made = Dataset()
    made.RadionuclideTotalDose, made.RadionuclideHalfLife = "350000000", str(HALF_LIFE)
    made.RadiopharmaceuticalStartTime = "100000.00"
    for keyword, value in elements.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def pet(dicom, ramp, *, private: dict[int, object] | None = None, implicit: bool = False, **elements):
    """A series of five slices, scanned at 11 o'clock, read."""
    told = {
        "Modality": "PT",
        "Units": "BQML",
        "CorrectedImage": ["ATTN", "DECY", "SCAT"],
        "DecayCorrection": "START",
        "SeriesDate": "20200310",
        "SeriesTime": "110000",
        "AcquisitionDate": "20200310",
        "AcquisitionTime": "110000",
        "PatientWeight": "70",
        "RadiopharmaceuticalInformationSequence": [tracer()],
    }
    told |= elements
    slices = dicom.stack(
        ramp,
        storage=PositronEmissionTomographyImageStorage,
        **{keyword: value for keyword, value in told.items() if value is not None},
    )
    for number, made in enumerate(slices):
        made.PixelSpacing = [1, 1]
        made.RescaleSlope, made.RescaleIntercept = 1, 0
        for tag, value in (private or {}).items():
            made.add_new(tag, "LO" if tag & 0xFFFF == 0x10 else "DS" if tag >> 16 == 0x7053 else "DT", value)
        if implicit:
            made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dicom.write(made, f"{number:03d}")
    return read_series(dicom.folder)


def expected(elapsed_s: float) -> float:
    return 70_000 / (350e6 * 2 ** (-elapsed_s / HALF_LIFE))


def test_the_dose_decays_until_the_series_begins(dicom, ramp):
    volume = pet(dicom, ramp)
    assert volume.meta.suv_factor == pytest.approx(expected(3600), rel=1e-12)
    made = suv(volume)
    np.testing.assert_allclose(made.array, volume.array * expected(3600), rtol=1e-6)
    assert made.meta.unit == "g/ml"


def test_decay_corrected_to_the_injection(dicom, ramp):
    # Times do not matter then, not even missing ones.
    assert pet(dicom, ramp, DecayCorrection="ADMIN", SeriesTime=None).meta.suv_factor == pytest.approx(2e-4)


def test_injected_before_midnight(dicom, ramp):
    made = pet(
        dicom,
        ramp,
        SeriesTime="003000",
        AcquisitionTime="003010.5",
        RadiopharmaceuticalInformationSequence=[tracer(RadiopharmaceuticalStartTime="233000")],
    )
    assert made.meta.suv_factor == pytest.approx(expected(3600))


def test_a_date_of_injection_goes_before_the_time_of_day(dicom, ramp):
    started = tracer(RadiopharmaceuticalStartDateTime="20200309110000.000000+0100", RadionuclideHalfLife="282240")
    made = pet(dicom, ramp, RadiopharmaceuticalInformationSequence=[started])  # zirconium-89, a day before
    assert made.meta.suv_factor == pytest.approx(70_000 / (350e6 * 2 ** (-86_400 / 282_240)))


def test_the_earliest_acquisition_does_not_move_the_reference(dicom, ramp):
    # Later beds are scanned later; the values of all are corrected to the series' time.
    assert pet(dicom, ramp, AcquisitionTime="112000").meta.suv_factor == pytest.approx(expected(3600))


def test_post_processed_on_ge(dicom, ramp):
    private = {0x00090010: "GEMS_PETD_01", 0x0009100D: "20200310105500.00"}
    made = pet(dicom, ramp, SeriesTime="150000", private=private)
    assert made.meta.suv_factor == pytest.approx(expected(3300))


def test_ge_s_element_of_another_maker_is_not_taken(dicom, ramp):
    private = {0x00090010: "SOMEBODY ELSE", 0x0009100D: "20200310105500.00"}
    assert pet(dicom, ramp, SeriesTime="150000", private=private).meta.suv_factor is None


def test_post_processed_elsewhere(dicom, ramp):
    # Average counts of a frame of 180 s come 89.15 s after its begin; the series' reference is then known.
    rate = np.log(2) / HALF_LIFE
    average = np.log(rate * 180 / (1 - np.exp(-rate * 180))) / rate
    made = pet(
        dicom,
        ramp,
        SeriesTime="150000",
        AcquisitionTime="110500",
        FrameReferenceTime=f"{1000 * (300 + average):.3f}",
        ActualFrameDuration="180000",
    )
    assert made.meta.suv_factor == pytest.approx(expected(3600), rel=1e-6)


@pytest.mark.parametrize("implicit", [False, True])
def test_philips_counts(dicom, ramp, implicit):
    creator = {0x70530010: "Philips PET Private Group"}
    made = pet(dicom, ramp, Units="CNTS", private=creator | {0x70531000: "0.000551"}, implicit=implicit)
    assert made.meta.unit == "counts"
    assert suv(made).array.max() == pytest.approx(ramp.max() * 0.000551, rel=1e-6)


def test_philips_activity(dicom, ramp):
    private = {0x70530010: "Philips PET Private Group", 0x70531000: "0", 0x70531009: "2.5"}
    assert pet(dicom, ramp, Units="CNTS", private=private).meta.suv_factor == pytest.approx(2.5 * expected(3600))


def test_an_image_that_is_suv_already(dicom, ramp):
    volume = pet(dicom, ramp, Units="GML", RadiopharmaceuticalInformationSequence=None, PatientWeight=None)
    assert (volume.meta.suv_factor, volume.meta.unit) == (1.0, "g/ml")
    assert suv(volume) is volume


@pytest.mark.parametrize(
    ("elements", "why"),
    [
        ({"PatientWeight": None}, "weight"),
        ({"PatientWeight": "0"}, "weight"),
        ({"PatientWeight": "70000"}, "weight"),
        ({"CorrectedImage": ["ATTN"]}, "attenuation and decay"),
        ({"CorrectedImage": None}, "attenuation and decay"),
        ({"DecayCorrection": "NONE"}, "to when decay is corrected"),
        ({"DecayCorrection": None}, "to when decay is corrected"),
        ({"RadiopharmaceuticalInformationSequence": None}, "dose"),
        ({"RadiopharmaceuticalInformationSequence": []}, "dose"),
        ({"RadiopharmaceuticalInformationSequence": [tracer(RadionuclideTotalDose="350")]}, "not MBq"),
        ({"RadiopharmaceuticalInformationSequence": [tracer(RadionuclideHalfLife=None)]}, "half-life"),
        ({"RadiopharmaceuticalInformationSequence": [tracer(RadiopharmaceuticalStartTime=None)]}, "time of injection"),
        ({"RadiopharmaceuticalInformationSequence": [tracer(RadiopharmaceuticalStartTime="")]}, "time of injection"),
        (
            {
                "RadiopharmaceuticalInformationSequence": [
                    tracer(RadiopharmaceuticalStartDateTime="20210310100000", RadiopharmaceuticalStartTime=None)
                ]
            },
            "do not go together",
        ),
        ({"AcquisitionTime": None}, "time of the acquisition"),
        ({"SeriesTime": None}, "time of the series"),
        ({"SeriesTime": "150000"}, "after the scan"),
        ({"Units": "CNTS"}, "counts"),
        ({"Units": "PROPCPS"}, "neither Bq/ml nor counts"),
        ({"Units": "GML", "SUVType": "LBM"}, "something else than body weight"),
    ],
)
def test_why_there_is_no_factor(dicom, ramp, elements, why, secrets):
    volume = pet(dicom, ramp, **elements)
    assert volume.meta.suv_factor is None
    with pytest.raises(DataError, match=f"no SUV: .*{why}") as caught:
        suv(volume)
    for secret in (*secrets, "350", "70", "2020", "100000"):
        assert secret not in str(caught.value)


def test_slices_that_do_not_agree(dicom, ramp):
    slices = dicom.stack(
        ramp, storage=PositronEmissionTomographyImageStorage, Modality="PT", Units="BQML", PixelSpacing=[1, 1]
    )
    for number, made in enumerate(slices):
        made.PatientWeight = str(60 + number)
        dicom.write(made, f"{number:03d}")
    volume = read_series(dicom.folder)
    assert volume.meta.suv_factor is None
    assert "no SUV: the weight differs between the images of the series" in volume.meta.notes


@pytest.mark.parametrize(
    ("whole", "damaged"),
    [
        (b"105959.125", b"1x5959.125"),
        (b"71.25", b"7x.25"),
        (b"350000000", b"35x000000"),
        (b"6586.2", b"65.6.2"),
        (b"START", b"\xff" * 5),
    ],
)
def test_damaged_elements_cost_the_factor_and_not_the_image(dicom, ramp, whole, damaged):
    assert pet(dicom, ramp, SeriesTime="105959.125", PatientWeight="71.25").meta.suv_factor is not None
    for path in sorted(dicom.folder.iterdir()):
        content = path.read_bytes()
        assert whole in content
        path.write_bytes(content.replace(whole, damaged, 1))
    volume = read_series(dicom.folder)
    assert volume.array.shape == (1, 6, 4, 5)
    assert volume.meta.suv_factor is None


def test_weight_dose_and_times_are_not_in_what_is_shown(dicom, ramp):
    shown = repr(pet(dicom, ramp).meta)
    assert "350" not in shown.replace(str(expected(3600)), "")
    assert "2020" not in shown


def test_other_modalities_have_no_factor_and_no_note(dicom, ramp):
    dicom.write_shuffled(dicom.stack(ramp))
    meta = read_series(dicom.folder).meta
    assert meta.suv_factor is None
    assert not [note for note in meta.notes if "SUV" in note]
