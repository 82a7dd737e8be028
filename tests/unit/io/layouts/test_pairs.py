import pytest

from vesalius.errors import DataError
from vesalius.io.layouts import index


@pytest.mark.parametrize("references", ["labels", "masks", "segmentations", "Annotations", "labelsTr", "gt"])
def test_folders_of_references_have_many_names(pen, references):
    pen.image("images/x.nii.gz")
    pen.reference(f"{references}/x.nii.gz")
    dataset = index(pen.root)
    assert (dataset.layout, dataset.ids) == ("pairs", ("x",))
    assert dataset.records[0].reference.parent.name == references


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ("x.nii.gz", "x.mha"),
        ("x.nii.gz", "x_mask.nii.gz"),
        ("x.nii.gz", "x_segmentation.nii.gz"),
        ("x_0000.nii.gz", "x.nii.gz"),
        ("x_image.nii.gz", "x_label.nii.gz"),
        ("img_01.nii.gz", "mask_01.nii.gz"),
        ("volume-7.nii.gz", "segmentation-7.nii.gz"),
    ],
)
def test_names_that_say_the_same_are_paired(pen, image, reference):
    pen.image(f"images/{image}")
    pen.reference(f"labels/{reference}")
    assert index(pen.root).records[0].reference.name == reference


def test_channel_suffixes_make_one_case(pen):
    for name in ("a_0000", "a_0001", "b_0000", "b_0001"):
        pen.image(f"images/{name}.nii.gz")
    for name in "ab":
        pen.reference(f"labels/{name}.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("a", "b")
    assert dataset.channels == ("channel 0", "channel 1")
    assert dataset[0].image.channels == 2


def test_frame_numbers_are_no_channels(pen):
    for name in ("a_0000", "a_0001"):
        pen.image(f"images/{name}.nii.gz")
        pen.reference(f"labels/{name}.nii.gz")
    assert index(pen.root).ids == ("a_0000", "a_0001")


def test_one_side_alone_is_left_out(pen, reasons):
    for name in "abc":
        pen.image(f"images/{name}.nii.gz")
    for name in "abd":
        pen.reference(f"labels/{name}.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("a", "b")
    assert reasons(dataset) == {
        "c": "no reference of this name in labels, or several",
        "d": "labels holds its reference, but images holds no image",
    }


def test_folders_for_each_sequence_are_the_patients(pen):
    for sequence in ("seq01", "seq02"):
        for frame in ("0001", "0002"):
            pen.image(f"{sequence}/images/{frame}.nii.gz")
            pen.reference(f"{sequence}/masks/{frame}.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("seq01_0001", "seq01_0002", "seq02_0001", "seq02_0002")
    assert dataset.patients == ("seq01", "seq02")


def test_folders_inside_images_are_followed(pen):
    for patient in ("p1", "p2"):
        pen.image(f"images/{patient}/slice_3.nii.gz")
        pen.reference(f"labels/{patient}/slice_3.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("p1_slice_3", "p2_slice_3")
    assert [r.reference.parent.name for r in dataset.records] == ["p1", "p2"]


def test_several_folders_of_references_are_not_decided_by_chance(pen, reasons):
    pen.image("images/x.nii.gz")
    pen.reference("labels/x.nii.gz", (1,))
    pen.reference("masks/x.nii.gz", (2,))
    with pytest.raises(DataError, match=r"'labels' \(1 images\), 'masks' \(1 images\)"):
        index(pen.root)
    dataset = index(pen.root, reference="masks")
    assert dataset.labels.values == (2,)
    assert reasons(dataset).keys() == {"labels/x.nii.gz"}
    with pytest.raises(DataError, match="unknown reference 'mask': did you mean 'masks'"):
        index(pen.root, reference="mask")


def test_the_first_reader_comes_first(pen):
    pen.image("images/21.nii.gz")
    for folder in ("1st_manual", "2nd_manual", "mask"):
        pen.reference(f"{folder}/21.nii.gz")
    assert index(pen.root).records[0].reference.parent.name == "1st_manual"


def test_texts_are_no_images(pen):
    pen.image("images/x.nii.gz")
    pen.reference("labels/x.nii.gz")
    pen.text("images/notes.txt", "x")
    pen.text("images/._x.nii.gz", "x")
    pen.text("README.md", "x")
    assert index(pen.root).left_out == ()


def test_another_number_of_files_is_left_out(pen, reasons):
    for name in ("a_0000", "a_0001", "b_0000", "b_0001", "c_0000"):
        pen.image(f"images/{name}.nii.gz")
    for name in "abc":
        pen.reference(f"labels/{name}.nii.gz")
    assert reasons(index(pen.root)) == {"c": "its image files are 1; most cases have 2"}
