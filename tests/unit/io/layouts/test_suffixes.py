import pytest

from vesalius.errors import DataError
from vesalius.io.layouts import index


@pytest.mark.parametrize(
    "mark",
    [
        "_gt", "_seg", "_label", "_labels", "_mask", "_masks", "_segmentation", "_Annotation", "_lesion_seg", "-seg",
        "_seg-manual", "_gmseg_manual", "_1stHO", ".mask", "_GroundTruth", "_reference", "_roi", "_msk",
    ],
)  # fmt: skip
def test_marks_of_references(pen, mark):
    for name in ("x", "y_2"):
        pen.image(f"{name}.nii.gz")
        pen.reference(f"{name}{mark}.nii.gz")
    dataset = index(pen.root)
    assert (dataset.layout, dataset.ids, dataset.left_out) == ("suffixes", ("x", "y_2"), ())
    assert [record.reference.name for record in dataset.records] == [f"x{mark}.nii.gz", f"y_2{mark}.nii.gz"]


def test_a_folder_for_each_patient_with_frames(pen):
    for patient in ("patient001", "patient002"):
        for frame in ("frame01", "frame12"):
            pen.image(f"{patient}/{patient}_{frame}.nii.gz")
            pen.reference(f"{patient}/{patient}_{frame}_gt.nii.gz")
        pen.text(f"{patient}/Info.cfg", "ED: 1")
    dataset = index(pen.root)
    assert dataset.ids[:2] == ("patient001_frame01", "patient001_frame12")
    assert dataset.patients == ("patient001", "patient002")


def test_a_folder_for_each_case_with_several_channels(pen, reasons):
    for case in ("p1", "p2"):
        for name in ("T1", "FLAIR"):
            pen.image(f"{case}/{name}.nii.gz")
        pen.reference(f"{case}/lesion_seg.nii.gz")
    pen.reference("p1/brainmask.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("p1", "p2")
    assert dataset.channels == ("FLAIR", "T1")
    assert [path.name for path in dataset.records[0].images] == ["FLAIR.nii.gz", "T1.nii.gz"]
    assert reasons(dataset) == {
        "p1/brainmask.nii.gz": "a mask of the brain or the field of view is neither an image nor a reference"
    }


def test_channels_and_reference_that_share_the_case_in_their_names(pen):
    for case in ("BraTS20_001", "BraTS20_002"):
        for name in ("flair", "t1", "t1ce", "t2"):
            pen.image(f"{case}/{case}_{name}.nii.gz")
        pen.reference(f"{case}/{case}_seg.nii.gz")
    dataset = index(pen.root, "suffixes")
    assert dataset.ids == ("BraTS20_001", "BraTS20_002")
    assert dataset.channels == ("flair", "t1", "t1ce", "t2")


def test_a_single_case_is_called_by_its_folder(pen):
    pen.image("spleen/ct.nii.gz")
    pen.reference("spleen/seg.nii.gz")
    dataset = index(pen.root / "spleen")
    assert dataset.ids == ("spleen",)
    assert dataset.channels == ("ct",)


def test_each_image_with_its_own_reference_is_its_own_case(pen):
    for name in ("ct", "mr"):
        pen.image(f"{name}.nii.gz")
        pen.reference(f"{name}_seg.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("ct", "mr")
    assert dataset.channels == ("image",)


def test_words_before_the_number(pen):
    for number in ("0", "12"):
        pen.image(f"volume-{number}.nii.gz")
        pen.reference(f"segmentation-{number}.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("volume-0", "volume-12")
    assert dataset.records[1].reference.name == "segmentation-12.nii.gz"


def test_classes_in_folders_are_groups_and_no_patients(pen):
    for kind in ("benign", "malignant"):
        for number in (1, 2):
            pen.image(f"{kind}/{kind}_{number}.nii.gz")
            pen.reference(f"{kind}/{kind}_{number}_mask.nii.gz")
    dataset = index(pen.root)
    assert len(dataset.patients) == 4
    assert [record.groups for record in dataset.records] == [{"folder": "benign"}] * 2 + [{"folder": "malignant"}] * 2


def test_a_reference_in_two_files_is_left_out(pen, reasons):
    for number in (1, 2):
        pen.image(f"benign_{number}.nii.gz")
        pen.reference(f"benign_{number}_mask.nii.gz")
    pen.reference("benign_2_mask_1.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("benign_1",)
    assert "in several files, to be united first" in reasons(dataset)["benign_2"]
    assert "benign_2_mask_1.nii.gz" in reasons(dataset)["benign_2"]


def test_a_second_reader_is_told_and_not_used(pen, reasons):
    for name in ("Image_01L", "Image_01R"):
        pen.image(f"{name}.nii.gz")
        pen.reference(f"{name}_1stHO.nii.gz", (1,))
        pen.reference(f"{name}_2ndHO.nii.gz", (2,))
    dataset = index(pen.root)
    assert dataset.labels.values == (1,)
    assert dataset.patients == ("Image_01",)
    assert reasons(dataset).keys() == {"Image_01L_2ndHO.nii.gz", "Image_01R_2ndHO.nii.gz"}
    assert index(pen.root, reference="2ndHO").labels.values == (2,)


def test_two_kinds_of_references_are_not_decided_by_chance(pen):
    for case in ("0004", "0006"):
        pen.image(f"{case}_image.nii.gz")
        pen.reference(f"{case}_lobes.nii.gz", (1, 2, 3))
        pen.reference(f"{case}_lungs.nii.gz", (1, 2))
    with pytest.raises(DataError, match=r"'lobes' \(2 images\), 'lungs' \(2 images\).*--reference lobes"):
        index(pen.root)
    dataset = index(pen.root, reference="lungs")
    assert dataset.ids == ("0004", "0006")
    assert dataset.labels.values == (1, 2)


def test_another_mark_may_mean_another_structure(pen, reasons):
    for name in ("t1", "t2"):
        pen.image(f"{name}.nii.gz")
        pen.reference(f"{name}_seg.nii.gz")
    pen.image("t2s.nii.gz")
    pen.reference("t2s_gmseg.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("t1", "t2")
    assert reasons(dataset)["t2s"] == "no reference marked 'seg'; it has gmseg instead, which may mean other structures"


def test_an_image_or_a_reference_alone_is_left_out(pen, reasons):
    for name in ("x", "y"):
        pen.image(f"{name}.nii.gz")
    pen.reference("x_seg.nii.gz")
    pen.reference("z_seg.nii.gz")
    found = reasons(index(pen.root))
    assert found["y"] == "no reference marked 'seg'"
    assert "no image of the same name" in found["z_seg.nii.gz"]


def test_other_channels_than_most_cases_are_left_out(pen, reasons):
    for case in ("p1", "p2", "p3"):
        pen.image(f"{case}/T1.nii.gz")
        pen.reference(f"{case}/seg.nii.gz")
        pen.image(f"{case}/{'FLAIR' if case != 'p3' else 'T2'}.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("p1", "p2")
    assert reasons(dataset) == {"p3": "its channels are T1, T2; those of most cases are FLAIR, T1"}


def test_names_that_come_out_the_same_are_left_out(pen, reasons):
    pen.image("a/b/x.nii.gz")
    pen.reference("a/b/x_seg.nii.gz")
    pen.image("a_b/x.nii.gz")
    pen.reference("a_b/x_seg.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("a_b_x",)
    assert "taken by another case" in reasons(dataset)["a_b_x"]
