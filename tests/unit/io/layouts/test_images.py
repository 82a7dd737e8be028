import pytest

from vesalius.errors import DataError
from vesalius.io.layouts import index


def test_images_alone_have_no_labels(pen):
    for name in ("x", "y"):
        pen.image(f"{name}.nii.gz")
    dataset = index(pen.root)
    assert (dataset.layout, dataset.ids, dataset.labels) == ("images", ("x", "y"), None)
    assert dataset[0].reference is None
    assert any("no case has a reference" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("names", "channels"),
    [(("a_0000", "a_0001"), ("channel 0", "channel 1")), (("a_T1", "a_FLAIR"), ("FLAIR", "T1"))],
)
def test_channels_are_put_together(pen, names, channels):
    for name in names:
        pen.image(f"{name}.nii.gz")
        pen.image(f"{name.replace('a_', 'b_')}.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("a", "b")
    assert dataset.channels == channels


def test_other_channels_than_most_are_left_out(pen, reasons):
    for case in ("case02", "case16"):
        pen.image(f"ct_mr/{case}/ct_004.nii.gz")
        pen.image(f"ct_mr/{case}/mr_004.nii.gz")
    pen.image("pet_mr/case25/pet_004.nii.gz")
    pen.image("pet_mr/case25/mr_004.nii.gz")
    dataset = index(pen.root)
    assert dataset.ids == ("ct_mr_case02_004", "ct_mr_case16_004")
    assert dataset.patients == ("ct_mr/case02", "ct_mr/case16")
    assert reasons(dataset) == {"pet_mr_case25_004": "its channels are mr, pet; those of most cases are ct, mr"}


def test_an_analyze_pair_is_one_image(pen):
    pen.image("a.img")
    assert sorted(path.name for path in pen.root.iterdir()) == ["a.hdr", "a.img"]
    dataset = index(pen.root)
    assert dataset.ids == ("a",)
    assert dataset.records[0].images[0].suffix == ".hdr"


def test_the_reference_cannot_be_chosen(pen):
    pen.image("a.nii.gz")
    with pytest.raises(DataError, match="the images layout says itself"):
        index(pen.root, reference="seg")
