import pytest

from vesalius.io.layouts.roles import rank, role


@pytest.mark.parametrize(
    ("name", "kind", "key", "word"),
    [
        ("patient001_frame01", "image", "patient001_frame01", ""),
        ("patient001_frame01_gt", "reference", "patient001_frame01", "gt"),
        ("seg", "reference", "", "seg"),
        ("mask_07", "reference", "07", "mask"),
        ("benign_4_mask_1", "reference", "benign_4", "mask"),
        ("t1w_seg-manual", "reference", "t1w", "seg-manual"),
        ("OTMultiClass", "reference", "", "OTMultiClass"),
        ("Image_01L_1stHO", "reference", "Image_01L", "1stHO"),
        ("brainmask", "auxiliary", "brainmask", ""),
        ("p1_brain_mask", "auxiliary", "p1_brain_mask", ""),
        ("sub-01_T1w", "image", "sub-01", "T1w"),
        ("Flair_subtrMeanDivStd", "image", "subtrMeanDivStd", "Flair"),
        ("ct_004", "image", "004", "ct"),
        ("image_12", "image", "12", "image"),
        ("Image_01L", "image", "Image_01L", ""),
        ("sub-ct_label-22_ct", "image", "sub-ct_label-22", "ct"),
        # Words that only contain a word for a reference, or are one in another place.
        ("weight", "image", "weight", ""),
        ("masked_patient", "image", "masked_patient", ""),
        ("label_studio_x", "image", "label_studio_x", ""),
        ("protocol", "image", "protocol", ""),
    ],
)
def test_what_a_name_says(name, kind, key, word):
    found = role(name)
    assert (found.kind, found.key, found.word) == (kind, key, word)


def test_first_readers_come_before_usual_words_and_second_readers_last():
    marks = ["2nd_manual", "lobes", "gt", "1st_manual"]
    assert sorted(marks, key=rank) == ["1st_manual", "gt", "lobes", "2nd_manual"]
