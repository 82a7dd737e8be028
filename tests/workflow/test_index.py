"""``vesalius index`` on real data sets and through the command line."""

import json

import numpy as np
import pytest

from vesalius.cli import main
from vesalius.image import Grid, Volume
from vesalius.io import write
from vesalius.io.layouts import survey

# folder: layout, cases, patients, channels, label values, left out
REAL = {
    "acdc_cine_mr": ("acdc", 12, 6, ("MR",), (1, 2, 3), 0),
    "brats2013_flair_t1c": ("brats", 3, 3, ("T1CE", "FLAIR"), (1, 2, 3, 4), 3),
    "busi_breast_us": ("busi", 16, 16, ("red", "green", "blue"), (1,), 1),
    "chasedb1": ("suffixes", 14, 7, ("red", "green", "blue"), (1,), 14),
    "cvc_clinicdb_video": ("pairs", 78, 4, ("red", "green", "blue"), (1,), 0),
    "dsb2018_nuclei": ("pairs", 21, 21, ("red", "green", "blue"), (1,), 0),
    "hc18_fetal_us": ("hc18", 17, 17, ("US",), (1,), 0),
    "isbi2012_em": ("pairs", 20, 20, ("image",), (255,), 0),
    "isic2017": ("isic", 3, 3, ("red", "green", "blue"), (1,), 0),
    "kvasir_seg": ("pairs", 40, 40, ("red", "green", "blue"), (1,), 0),
    "ms_lesion_mr": ("suffixes", 1, 1, ("FLAIR", "T1"), (1,), 1),
    "msd_hippocampus": ("pairs", 219, 219, ("image",), (1, 2), 0),
    "msd_spleen_crop": ("suffixes", 1, 1, ("ct",), (1,), 0),
    "spine_samples": ("suffixes", 2, 2, ("image",), (1,), 2),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_sets(shared_data, name):
    layout, cases, patients, channels, values, left_out = REAL[name]
    found = survey(shared_data / name)
    dataset = found.dataset
    assert (dataset.layout, len(dataset), len(dataset.patients)) == (layout, cases, patients)
    assert (dataset.channels, dataset.labels.values) == (channels, values)
    assert len(dataset.left_out) == left_out
    case = dataset[0]
    assert case.image.channels == len(channels)
    assert case.reference.counts() == {v: n for v, n in found.label_voxels[case.id].items() if n}


@pytest.mark.parametrize(
    ("name", "cases", "left_out"), [("brain_mr_dicom", 5, ()), ("lung_ct_rtstruct", 1, ("rtstruct",))]
)
def test_folders_of_dicom_files_are_images(shared_data, name, cases, left_out):
    dataset = survey(shared_data / name).dataset
    assert (dataset.layout, len(dataset), dataset.labels) == ("images", cases, None)
    assert tuple(case.id for case in dataset.left_out) == left_out
    assert dataset[0].image.grid.ndim == 3


def test_pairs_of_modalities_are_channels(shared_data):
    dataset = survey(shared_data / "brain_ct_mr_pet_pairs").dataset
    assert (dataset.layout, dataset.channels, len(dataset), len(dataset.patients)) == ("images", ("ct", "mr"), 72, 4)
    assert {case.reason for case in dataset.left_out} == {"its channels are mr, pet; those of most cases are ct, mr"}


def test_several_label_maps_for_an_image_are_chosen_by_name(shared_data, capsys):
    folder = str(shared_data / "lung_proton_mr")
    assert main(["index", folder]) == 1
    assert "'lobes' (3 images), 'lungs' (3 images)" in capsys.readouterr().err
    assert main(["index", folder, "--reference", "lobes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [label["values"] for label in told["labels"]] == [[1], [2], [3], [4], [5]]
    assert {case["id"] for case in told["left_out"]} == {f"{n}_lungs.nii.gz" for n in ("0004", "0006", "0012")}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("msd_lung_patches", "no layout recognised; it holds"),
        ("synthseg_labelmaps", "12 of them are named as references, without images beside them"),
    ],
)
def test_what_is_no_set_for_segmentation_gets_clear_words(shared_data, capsys, name, message):
    assert main(["index", str(shared_data / name)]) == 1
    assert message in capsys.readouterr().err


def test_volumes_of_the_references_are_those_of_the_literature(shared_data, capsys):
    """The data set's page gives 49,769 lesion voxels for this patient."""
    assert main(["index", str(shared_data / "ms_lesion_mr"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == [
        {"name": "foreground", "values": [1], "cases": 1, "voxels": 49_769}
    ]


# --- the verb, on data made here --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, rng):
    """Three cases, of which one has no reference."""
    grid = Grid.from_spacing((8, 7, 6), (0.5, 0.5, 2.0))
    for place in ("images", "labels"):
        (tmp_path / "data" / place).mkdir(parents=True)
    for name in ("p1_a", "p1_b", "p2_a"):
        write(Volume(rng.normal(size=(1, 8, 7, 6)).astype(np.float32), grid), tmp_path / f"data/images/{name}.nii.gz")
        reference = np.zeros((1, 8, 7, 6), np.uint8)
        reference[0, 2:4, 2:4, 2:4] = 1
        if name != "p2_a":
            write(Volume(reference, grid), tmp_path / f"data/labels/{name}.nii.gz")
    return tmp_path / "data"


def test_the_tables_say_what_is_there(folder, capsys):
    assert main(["index", str(folder), "--patient-pattern", "^p."]) == 0
    told = capsys.readouterr().out
    assert "cases       2 used, 1 left out" in told
    assert "patients    1" in told
    assert "shape       8 × 7 × 6" in told
    assert "spacing mm  0.5 × 0.5 × 2" in told
    assert "foreground  1      2      16      2.381%" in told
    assert "left out: p2_a: no reference of this name in labels, or several" in told


def test_json_says_the_same_to_machines(folder, capsys):
    assert main(["index", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["layout"] == "pairs"
    assert told["patients"] == 2
    assert told["cases"][0]["shape"] == [8, 7, 6]
    assert told["cases"][0]["spacing_mm"] == pytest.approx([0.5, 0.5, 2.0])
    assert told["cases"][0]["images"][0].endswith("p1_a.nii.gz")
    assert told["left_out"] == [{"id": "p2_a", "reason": "no reference of this name in labels, or several"}]


def test_without_checks_the_images_are_not_read(folder, capsys):
    (folder / "images/p1_b.nii.gz").write_bytes(b"")
    assert main(["index", str(folder), "--no-check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [case["id"] for case in told["cases"]] == ["p1_a", "p1_b"]
    assert "shape" not in told["cases"][0]


def test_a_manifest_is_written_and_read_back(folder, tmp_path, capsys):
    out = tmp_path / "cases.csv"
    assert main(["index", str(folder), "--patient-pattern", "^p.", "--manifest", str(out), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert out.read_text().splitlines()[1] == "p1_a,p1,data/images/p1_a.nii.gz,data/labels/p1_a.nii.gz"
    assert main(["index", str(out), "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["layout"] == "manifest"
    assert [(c["id"], c["patient"]) for c in second["cases"]] == [(c["id"], c["patient"]) for c in first["cases"]]
    assert second["labels"] == first["labels"]


def test_a_manifest_that_cannot_be_written_is_an_error(folder, tmp_path, capsys):
    assert main(["index", str(folder), "--manifest", str(tmp_path / "nowhere" / "cases.csv")]) == 1
    assert "its folder does not exist" in capsys.readouterr().err


def test_names_that_look_like_markup_are_printed_as_they_are(folder, capsys):
    (folder / "images/p2_a.nii.gz").rename(folder / "images/[bold]x.nii.gz")
    assert main(["index", str(folder)]) == 0
    assert "left out: [bold]x: " in capsys.readouterr().out


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    assert main(["index", str(tmp_path)]) == 1
    assert "no layout recognised; it holds no file" in capsys.readouterr().err
