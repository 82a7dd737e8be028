"""A PET keeps its SUV where weight and times may stay, and says so where it is lost."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from vesalius.io.dicom.suv import suv_factor, uptake_of
from vesalius.privacy.headers import clean_header
from vesalius.privacy.profile import make_profile
from vesalius.privacy.pseudonyms import Pseudonyms
from vesalius.privacy.uptake import KEPT, LOST, say_of_uptake

NAMES = Pseudonyms(b"a key for the tests of PET")


def pet(**elements: object) -> Dataset:
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = "370000000", "6586.2"
    tracer.RadiopharmaceuticalStartDateTime, tracer.Radiopharmaceutical = "20260203090000", "FDG"
    made = Dataset()
    made.Modality, made.Units, made.CorrectedImage, made.DecayCorrection = "PT", "BQML", ["ATTN", "DECY"], "START"
    made.PatientName, made.PatientID, made.PatientWeight = "Doering^Jane", "MRN-4711", "71"
    made.SeriesDate = made.AcquisitionDate = "20260203"
    made.SeriesTime, made.AcquisitionTime = "100000", "100100"
    made.RadiopharmaceuticalInformationSequence = [tracer]
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def cleaned(dataset: Dataset, *options: str):
    profile = make_profile(options)
    made, _ = clean_header(dataset, profile, NAMES)
    return made, say_of_uptake(dataset, made, profile)


@pytest.mark.parametrize("dates", ["modified-dates", "full-dates"])
def test_weight_and_times_that_stay_keep_the_suv(dates):
    made, found = cleaned(pet(), "patient-characteristics", dates)
    assert found.actions == (KEPT,)
    factor, _ = suv_factor([uptake_of(made)])
    assert factor == pytest.approx(1000 * 71 / (370e6 * 2 ** (-3600 / 6586.2)))


@pytest.mark.parametrize("options", [(), ("modified-dates",), ("patient-characteristics",)])
def test_it_is_said_plainly_where_the_suv_is_lost(options):
    made, found = cleaned(pet(), *options)
    assert found.actions == (LOST,)
    assert suv_factor([uptake_of(made)])[0] is None


def test_an_suv_that_came_out_another_is_for_a_person():
    before = pet()
    made, _ = cleaned(before, "patient-characteristics", "full-dates")
    made.SeriesTime = made.AcquisitionTime = "110000"
    found = say_of_uptake(before, made, make_profile(["patient-characteristics", "full-dates"]))
    assert not found.sure


@pytest.mark.parametrize("elements", [{"Modality": "CT"}, {"PatientWeight": ""}, {"Units": "CNTS"}])
def test_nothing_is_said_of_what_never_had_one(elements):
    _, found = cleaned(pet(**elements))
    assert (found.actions, found.doubts) == ((), ())


def test_an_image_in_suv_stays_one():
    _, found = cleaned(pet(Units="GML"))
    assert found.actions == (KEPT,)
