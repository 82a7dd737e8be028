"""BraTS in the forms of three periods: which values mean what, what is missing, what is not part of it."""

import pytest

from vesalius.errors import DataError
from vesalius.io.layouts import brats, index

FORMS = {
    "2020": ("BraTS20_Training_{:03d}", "_t1 _t1ce _t2 _flair", "_seg", (1, 2, 4)),
    "2023": ("BraTS-GLI-{:05d}-000", "-t1n -t1c -t2w -t2f", "-seg", (1, 2, 3)),
}


def write_case(pen, number, form="2020", *, below="", values=None, without=()):
    folder, images, reference, usual = FORMS[form]
    case = folder.format(number)
    for ending in images.split():
        if ending[1:] not in without:
            pen.image(f"{below}{case}/{case}{ending}.nii.gz")
    pen.reference(f"{below}{case}/{case}{reference}.nii.gz", usual if values is None else values)
    return case


@pytest.mark.parametrize(("form", "convention", "enhancing"), [("2020", "1/2/4", 4), ("2023", "1/2/3", 3)])
def test_official_forms(pen, form, convention, enhancing) -> None:
    ids = [write_case(pen, number, form) for number in (1, 2)]
    dataset = index(pen.root)
    assert (dataset.layout, dataset.ids) == ("brats", tuple(ids))
    assert dataset.channels == ("T1", "T1CE", "T2", "FLAIR")
    assert [path.name[len(ids[0]) :] for path in dataset.records[0].images] == [
        f"{ending}.nii.gz" for ending in FORMS[form][1].split()
    ]
    assert dataset.labels.targets() == {
        "necrotic core": (1,),
        "oedema": (2,),
        "enhancing tumour": (enhancing,),
        "whole tumour": (1, 2, enhancing),
        "tumour core": (1, enhancing),
    }
    assert dataset[0].image.channels == 4
    assert f"BraTS with labels {convention}" in dataset.notes
    assert dataset.left_out == ()


def test_grades_may_lie_between_and_tables_are_told(pen) -> None:
    write_case(pen, 1, below="HGG/")
    write_case(pen, 2, below="LGG/")
    pen.text("name_mapping.csv", "Grade,BraTS_2020_subject_ID\nHGG,BraTS20_Training_001\n")
    pen.text("survival_info.csv", "Brats20ID,Age\nBraTS20_Training_001,60\n")
    dataset = index(pen.root)
    assert len(dataset) == 2
    assert "name_mapping.csv, survival_info.csv: not read, for nothing of it is needed" in dataset.notes


def test_old_sets_by_their_own_names(pen) -> None:
    for number in (1, 2):
        case = f"brats_2013_pat000{number}_1"
        for name in ("Flair", "T1c"):
            pen.image(f"{case}/{name}_subtrMeanDivStd.nii.gz")
        pen.reference(f"{case}/OTMultiClass.nii.gz", (1, 2, 3, 4))
        pen.image(f"{case}/brainmask.nii.gz")
    dataset = index(pen.root)
    assert dataset.layout == "brats"
    assert dataset.channels == ("T1CE", "FLAIR")
    assert dataset.labels.targets()["tumour core"] == (1, 3, 4)
    assert {case.id for case in dataset.left_out} == {f"brats_2013_pat000{n}_1/brainmask.nii.gz" for n in (1, 2)}


def test_files_of_2015_lie_in_folders_of_their_own(pen) -> None:
    case = "brats_tcia_pat101_1"
    for name in ("O.MR_Flair.1", "O.MR_T1.2", "O.MR_T1c.3", "O.MR_T2.4"):
        pen.image(f"{case}/VSD.Brain.XX.{name}/VSD.Brain.XX.{name}.mha")
    pen.reference(f"{case}/VSD.Brain_3more.XX.O.OT.5/VSD.Brain_3more.XX.O.OT.5.mha", (1, 2, 3, 4))
    cases, strangers = brats.find_cases(pen.root)
    assert [case.id for case in cases] == ["brats_tcia_pat101_1"]
    assert tuple(cases[0].images) == ("T1", "T1CE", "T2", "FLAIR")
    assert (cases[0].reference is not None, strangers) == (True, ())


def test_the_reference_that_kept_its_makers_name(pen) -> None:
    """BraTS20_Training_355 has W39_1998.09.19_Segm.nii."""
    case = write_case(pen, 355)
    seg = pen.root / case / f"{case}_seg.nii.gz"
    seg.rename(seg.with_name("W39_1998.09.19_Segm.nii.gz"))
    assert index(pen.root).records[0].reference.name == "W39_1998.09.19_Segm.nii.gz"


def test_mixed_conventions_leave_the_fewer_out(pen, reasons) -> None:
    """The names say 2020, the values of one case 2023: values decide."""
    for number in (1, 2):
        write_case(pen, number)
    write_case(pen, 3, values=(1, 2, 3))
    dataset = index(pen.root)
    assert dataset.ids == ("BraTS20_Training_001", "BraTS20_Training_002")
    assert reasons(dataset)["BraTS20_Training_003"] == (
        "its labels are 1/2/3, those of most cases 1/2/4 (vesalius study brain-tumour reads both)"
    )


def test_values_that_no_convention_has(pen, reasons) -> None:
    write_case(pen, 1)
    write_case(pen, 2, values=(1, 2, 3, 4))
    write_case(pen, 3, values=(1, 2, 7))
    assert reasons(index(pen.root)) == {
        "BraTS20_Training_002": "its reference holds both 3 and 4, of which one convention has one",
        "BraTS20_Training_003": "its reference holds [7]; BraTS has 0 to 4",
    }


def test_a_case_without_enhancing_tumour_fits_both(pen) -> None:
    write_case(pen, 1, "2023")
    write_case(pen, 2, "2023", values=(1, 2))
    assert len(index(pen.root)) == 2


def test_a_missing_sequence_is_told(pen, reasons) -> None:
    for number in (1, 2, 3):
        write_case(pen, number)
    write_case(pen, 4, without=("t1ce",))
    dataset = index(pen.root)
    assert len(dataset) == 3
    assert reasons(dataset)["BraTS20_Training_004"].startswith("its T1CE is missing")
    cases, _ = brats.find_cases(pen.root)
    assert tuple(cases[-1].images) == ("T1", "T2", "FLAIR")


def test_other_sets_of_several_sequences_are_not_taken_for_it(pen) -> None:
    for case in "ab":
        for name in ("t1", "flair", "seg"):
            (pen.reference if name == "seg" else pen.image)(f"{case}/{case}_{name}.nii.gz")
    assert not brats.recognise(pen.root)
    assert index(pen.root).layout == "suffixes"
    with pytest.raises(DataError, match="not of layout brats"):
        index(pen.root, "brats")
