from pathlib import Path

import pytest

from vesalius.errors import DataError
from vesalius.image import Record
from vesalius.io.layouts.patients import assign_patients, group_by_folder


def owners(ids, folders=None, pattern=None):
    records = [Record(name, (Path(name),)) for name in ids]
    return [record.patient for record in assign_patients(records, folders or {}, pattern)[0]]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"], ["sub-01", "sub-01", "sub-02"]),
        (["patient001_frame01", "patient001_frame12"], ["patient001", "patient001"]),
        (["vol_7_slice_3", "vol_7_slice_4", "vol_8_slice_3"], ["vol_7", "vol_7", "vol_8"]),
        (["Image_01L", "Image_01R", "Image_02L"], ["Image_01", "Image_01", "Image_02"]),
        (["e1_left", "e1_right"], ["e1", "e1"]),
        (["a_pat12_x", "a_pat12_y"], ["a_pat12", "a_pat12"]),
    ],
)
def test_names_tell_the_patient(ids, expected):
    assert owners(ids) == expected


@pytest.mark.parametrize(
    "ids",
    [["hippocampus_001", "hippocampus_004"], ["000_HC", "050_HC"], ["a", "b"], ["sub-01_T1w", "x"], ["01L", "02R"]],
)
def test_names_that_tell_nothing_make_each_case_a_patient(ids):
    assert owners(ids) == ids


def test_numbered_folders_are_patients_at_the_first_depth_that_tells_them_apart():
    folders = {"a": ("train", "p1", "x"), "b": ("train", "p1", "y"), "c": ("train", "p2", "x")}
    assert owners("abc", folders) == ["train/p1", "train/p1", "train/p2"]


def test_folders_that_only_some_cases_have_tell_nothing():
    assert owners("ab", {"a": ("p1",), "b": ()}) == ["a", "b"]


def test_a_pattern_comes_before_folders():
    assert owners(["A1x", "A1y", "B2x"], {"A1x": ("1",), "A1y": ("2",), "B2x": ("3",)}, r"^(\w\d)") == [
        "A1",
        "A1",
        "B2",
    ]
    assert owners(["A1x", "A1y"], None, r"\d") == ["1", "1"]


def test_cases_that_a_pattern_does_not_fit_are_told():
    records = [Record(name, (Path(name),)) for name in ("A1x", "A1y", "zz")]
    found, sentence = assign_patients(records, {}, r"A\d")
    assert [record.patient for record in found] == ["A1", "A1", "zz"]
    assert sentence.startswith("2 patients in 3 cases: told by patient_pattern")
    assert sentence.endswith("themselves: zz")


@pytest.mark.parametrize(("pattern", "message"), [("(", "not a regular expression"), ("q", "fits none of the 2 cases")])
def test_a_pattern_that_cannot_serve_is_an_error(pattern, message):
    with pytest.raises(DataError, match=message):
        owners("ab", None, pattern)


def test_an_empty_match_is_no_patient():
    assert owners(["a1", "b"], None, r"\d*$") == ["1", "b"]


def test_folders_without_numbers_are_groups():
    records = [Record(name, (Path(name),), groups={"sex": "f"}) for name in "ab"]
    grouped = group_by_folder(records, {"a": ("benign",), "b": ("malignant",)})
    assert [record.groups for record in grouped] == [
        {"sex": "f", "folder": "benign"},
        {"sex": "f", "folder": "malignant"},
    ]
    for folders in ({"a": ("p1",), "b": ("p2",)}, {"a": ("x",), "b": ("x",)}, {"a": ("x",)}):
        assert group_by_folder(records, folders) == tuple(records)
