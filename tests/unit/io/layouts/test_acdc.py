"""ACDC: frames of a patient, their phases and diagnoses; films and strays."""

from vesalius.io.layouts import index

INFO = "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"


def write_patient(pen, place: str, info: str = INFO, frames=(1, 12)) -> None:
    name = place.rpartition("/")[2]
    pen.text(f"{place}/Info.cfg", info)
    for number in frames:
        pen.image(f"{place}/{name}_frame{number:02d}.nii.gz")
        pen.reference(f"{place}/{name}_frame{number:02d}_gt.nii.gz", (1, 2, 3))


def test_the_official_folders(pen, reasons):
    for place in ("training/patient001", "training/patient002", "testing/patient101"):
        write_patient(pen, place)
    pen.image("training/patient001/patient001_4d.nii.gz")
    pen.text("training/patient001/MANDATORY_CITATION.md", "cite")
    dataset = index(pen.root)
    assert (dataset.layout, dataset.channels, len(dataset), len(dataset.patients)) == ("acdc", ("MR",), 6, 3)
    assert dataset.labels.targets() == {"right ventricle": (1,), "myocardium": (2,), "left ventricle": (3,)}
    groups = {record.id: record.groups for record in dataset.records}
    assert groups["patient001_frame01"] == {"diagnosis": "DCM", "phase": "end-diastole", "folder": "training"}
    assert groups["patient101_frame12"]["phase"] == "end-systole"
    assert dataset[0].reference.counts().keys() == {0, 1, 2, 3}
    assert "a film" in reasons(dataset)["patient001_4d.nii.gz"]


def test_patients_side_by_side_and_one_alone(pen):
    for name in ("patient001", "patient002"):
        write_patient(pen, name)
    assert len(index(pen.root).patients) == 2
    alone = index(pen.root / "patient001")
    assert (alone.layout, len(alone), len(alone.patients)) == ("acdc", 2, 1)


def test_what_is_amiss(pen, reasons):
    write_patient(pen, "patient001", info="\0\xff damaged")
    write_patient(pen, "patient002", frames=(1, 7))  # 7 is neither end
    pen.reference("patient002/patient002_frame12_gt.nii.gz", (1, 2, 3))
    pen.image("patient002/patient003_frame01.nii.gz")
    dataset = index(pen.root)
    groups = {record.id: record.groups for record in dataset.records}
    assert groups["patient001_frame01"] == {}
    assert groups["patient002_frame07"] == {"diagnosis": "DCM"}
    assert any("patient001: its Info.cfg does not tell" in note for note in dataset.notes)
    assert "no image of this frame" in reasons(dataset)["patient002_frame12_gt.nii.gz"]
    assert "no file of ACDC" in reasons(dataset)["patient003_frame01.nii.gz"]


def test_an_unlabelled_test_set(pen):
    pen.text("patient101/Info.cfg", INFO)
    pen.image("patient101/patient101_frame01.nii.gz")
    dataset = index(pen.root)
    assert (dataset.layout, dataset.labels, dataset.records[0].reference) == ("acdc", None, None)
