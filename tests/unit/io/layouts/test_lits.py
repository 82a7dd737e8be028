"""LiTS: pairs by number, wherever they lie; the test set has no segmentations."""

from vesalius.io.layouts import index, lits


def test_pairs_by_number(pen) -> None:
    for number in (10, 9):
        pen.image(f"volume-{number}.nii")
        pen.reference(f"segmentation-{number}.nii", (1, 2))
    dataset = index(pen.root)
    assert (dataset.layout, dataset.ids, dataset.channels) == ("lits", ("volume-9", "volume-10"), ("CT",))
    assert dataset.labels.targets() == {"liver": (1,), "tumour": (2,), "liver with tumours": (1, 2)}
    assert dataset[1].reference.counts().keys() == {0, 1, 2}


def test_volumes_and_segmentations_in_folders_of_their_own(pen) -> None:
    pen.image("volume_pt1/volume-0.nii")
    pen.image("volume_pt2/volume-1.nii")
    for number in (0, 1):
        pen.reference(f"segmentations/segmentation-{number}.nii", (1,))
    assert index(pen.root).ids == ("volume-0", "volume-1")


def test_what_is_no_pair_is_told(pen, reasons) -> None:
    pen.image("volume-0.nii")
    pen.reference("segmentation-0.nii", (1,))
    pen.reference("segmentation-4.nii", (1,))
    pen.image("localiser.nii")
    assert reasons(index(pen.root)) == {
        "segmentation-4.nii": "there is no volume of this number",
        "localiser.nii": "neither a volume nor a segmentation of LiTS",
    }


def test_headers_that_place_them_differently(pen, reasons) -> None:
    """Indexing mends nothing; the study does."""
    for number, shift in ((0, 0.0), (1, 40.0)):
        pen.image(f"volume-{number}.nii")
        pen.reference(f"segmentation-{number}.nii", (1,), shift_mm=shift)
    assert "lie up to" in reasons(index(pen.root))["volume-1"]


def test_the_test_set_has_no_references(pen) -> None:
    pen.image("test-volume-0.nii")
    dataset = index(pen.root)
    assert (dataset.layout, dataset.ids, dataset.records[0].reference) == ("lits", ("test-volume-0",), None)
    assert not lits.recognise(pen.root / "test-volume-0.nii")
