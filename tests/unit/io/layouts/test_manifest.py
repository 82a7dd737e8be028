from pathlib import Path

import pytest

from vesalius.errors import DataError, FormatError
from vesalius.io.layouts import index
from vesalius.io.layouts.manifest import write_manifest

HEADER = "case,patient,image:T1,image:FLAIR,reference,group:sex\n"


@pytest.fixture
def table(pen):
    """Three cases of two patients; the last has no reference."""
    for name in "abc":
        pen.image(f"scans/{name}_t1.nii.gz")
        pen.image(f"scans/{name}_flair.nii.gz")
        pen.reference(f"labels/{name}.nii.gz")
    pen.text(
        "manifest.csv",
        HEADER
        + "a,p1,scans/a_t1.nii.gz,scans/a_flair.nii.gz,labels/a.nii.gz,f\n"
        + "b,p1,scans/b_t1.nii.gz,scans/b_flair.nii.gz,labels/b.nii.gz,f\n"
        + "c,p2,scans/c_t1.nii.gz,scans/c_flair.nii.gz,,m\n",
    )
    return pen


def test_every_column_is_used(table):
    dataset = index(table.root)
    assert (dataset.layout, dataset.ids, dataset.channels) == ("manifest", ("a", "b", "c"), ("T1", "FLAIR"))
    assert [record.patient for record in dataset.records] == ["p1", "p1", "p2"]
    assert dataset.records[2].reference is None
    assert dataset.records[2].groups == {"sex": "m"}
    assert dataset[0].image.channels == 2
    assert dataset[0].patient == "p1"
    assert "1 of 3 cases have no reference" in dataset.notes
    assert dataset.notes[-1] == "2 patients in 3 cases: told by the data set itself"


def test_the_table_itself_may_be_given(table):
    table.text("other.csv", "case,image\nonly,scans/a_t1.nii.gz\n")
    with pytest.raises(DataError, match=r"there must be one manifest; found: manifest\.csv, other\.csv"):
        index(table.root)
    assert index(table.root / "other.csv").ids == ("only",)


@pytest.mark.parametrize(("delimiter", "name"), [(";", "manifest.csv"), ("\t", "manifest.tsv")])
def test_other_delimiters_and_marks_of_spreadsheets(table, delimiter, name):
    text = (table.root / "manifest.csv").read_text()
    (table.root / "manifest.csv").unlink()
    table.text(name, "\ufeff" + text.replace(",", delimiter).replace("\n", "\r\n") + "\r\n")
    assert index(table.root).ids == ("a", "b", "c")


def test_a_written_manifest_is_read_back(table, tmp_path):
    first = index(table.root)
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "elsewhere" / "cases.csv"
    write_manifest(first, out)
    again = index(out)
    assert again.channels == first.channels
    assert again.labels == first.labels
    for old, new in zip(first.records, again.records, strict=True):
        assert (old.id, old.patient, old.groups) == (new.id, new.patient, new.groups)
        assert [p.resolve() for p in old.images] == [p.resolve() for p in new.images]
        assert (old.reference and old.reference.resolve()) == (new.reference and new.reference.resolve())


def test_a_written_manifest_of_colour_pictures_is_read_back(pen):
    for name in "ab":
        pen.image(f"images/{name}.png", shape=(8, 8), channels=3)
        pen.reference(f"masks/{name}.png", (255,), shape=(8, 8))
    write_manifest(index(pen.root), pen.root / "cases.tsv")
    assert (pen.root / "cases.tsv").read_text().startswith("case\tpatient\timage\treference\n")
    again = index(pen.root / "cases.tsv")
    assert again.ids == ("a", "b")
    assert again.channels == ("red", "green", "blue")


def test_paths_that_look_like_text_of_a_table_survive(pen):
    pen.image('images/a, "b".nii.gz')
    pen.reference('labels/a, "b".nii.gz')
    write_manifest(index(pen.root), pen.root / "cases.csv")
    assert index(pen.root / "cases.csv").ids == ('a, "b"',)


def test_missing_files_are_left_out(table, reasons):
    (table.root / "scans/a_flair.nii.gz").unlink()
    (table.root / "labels/b.nii.gz").unlink()
    assert reasons(index(table.root)) == {"a": "missing file: a_flair.nii.gz", "b": "missing file: b.nii.gz"}


@pytest.mark.parametrize("name", ["", "../../etc/cron", "a/b", "..", "a\\b", "x" * 201])
def test_a_name_that_is_no_file_name_is_left_out(table, reasons, name):
    table.text("manifest.csv", f"case,image\n{name},scans/a_t1.nii.gz\nb,scans/b_t1.nii.gz\n")
    dataset = index(table.root)
    assert dataset.ids == ("b",)
    assert "name must be 1 to 200 characters" in reasons(dataset)["line 2"]


def test_a_second_line_of_the_same_case_is_left_out(table, reasons):
    table.text("manifest.csv", "case,image\na,scans/a_t1.nii.gz\na,scans/b_t1.nii.gz\n")
    dataset = index(table.root)
    assert dataset.ids == ("a",)
    assert dataset.records[0].images[0].name == "a_t1.nii.gz"
    assert "taken by another case" in reasons(dataset)["a"]


def test_a_missing_channel_is_left_out(table, reasons):
    table.text("manifest.csv", "case,image:x,image:y\na,scans/a_t1.nii.gz,\nb,scans/b_t1.nii.gz,scans/b_flair.nii.gz\n")
    assert "line 2 has an empty image column" in reasons(index(table.root))["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,image,refrence\n", "unknown column 'refrence': did you mean 'reference'"),
        ("case,image,group\n", "unknown column 'group'"),
        ("case,image,image\n", "a column occurs twice"),
        ("case,image,reference,reference:x\n", "a column occurs twice"),
        ("case,image\na\n", "line 2 has 1 fields, the header has 2"),
        ('case,image\n"a,b\n', "not a table"),
        ("case,image\n", "no case can be used"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error(table, text, message):
    path = table.text("manifest.csv", text)
    with pytest.raises((FormatError, DataError), match=message):
        index(path)


def test_bytes_that_are_no_text_are_an_error(table):
    (table.root / "manifest.csv").write_bytes(b"case,image\n\xff\xfe,x\n")
    with pytest.raises(FormatError, match="must be UTF-8 text"):
        index(table.root / "manifest.csv", "manifest")


def test_a_huge_table_is_not_read(table):
    path = table.root / "manifest.csv"
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(FormatError, match="too large"):
        index(path)


def test_a_table_about_something_else_is_no_manifest(pen):
    pen.text("pixel_size.csv", "filename,pixel size(mm)\n000_HC.png,0.06\n")
    pen.image("a.nii.gz")
    pen.reference("a_seg.nii.gz")
    assert index(pen.root).layout == "suffixes"


def test_the_manifest_names_the_patients(table):
    with pytest.raises(DataError, match="leave patient_pattern out"):
        index(table.root, patient_pattern="p.")


def test_labels_may_be_declared_beside_the_table(table):
    table.text("dataset.json", '{"labels": {"background": 0, "lesion": 1}}')
    assert index(Path(table.root / "manifest.csv")).labels.names == ("lesion",)
