"""The journal of a folder of results: what is read back, whatever is in the file."""

import json

import pytest

from vesalius.errors import VesaliusError
from vesalius.predict.journal import NAME, Entry, note, read_journal, sha256_of

DONE = Entry("a.nii.gz", "5af3", {"a.nii.gz": "00ff"}, {"liver": 12, "tumour": 0}, {"liver": 1.5, "tumour": 0.0})


def test_the_last_word_counts(tmp_path):
    assert read_journal(tmp_path) == {}
    for entry in (Entry("a.nii.gz", "1"), DONE, Entry("b.nii.gz", "2"), Entry("b.nii.gz", "3", {"b.nii.gz": "0"})):
        note(tmp_path, entry)
    found = read_journal(tmp_path)
    assert found == {"a.nii.gz": DONE, "b.nii.gz": Entry("b.nii.gz", "3", {"b.nii.gz": "0"})}
    note(tmp_path, Entry("a.nii.gz", "1"))
    assert not read_journal(tmp_path)["a.nii.gz"].done
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_line_that_was_cut_off_is_passed_over_and_spoils_no_other(tmp_path):
    note(tmp_path, DONE)
    whole = (tmp_path / NAME).read_bytes()
    for length in range(len(whole)):
        (tmp_path / NAME).write_bytes(whole + whole[:length])
        note(tmp_path, Entry("c.nii.gz", "4"))
        assert read_journal(tmp_path) == {"a.nii.gz": DONE, "c.nii.gz": Entry("c.nii.gz", "4")}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no JSON",
        "[]",
        "3",
        "null",
        '{"target": "a.nii.gz"}',
        '{"target": 3, "origin": "1"}',
        '{"target": "../a.nii.gz", "origin": "1"}',
        '{"target": "a.nii.gz", "origin": "1", "sha256": {"/etc/passwd": "0"}}',
        '{"target": "a.nii.gz", "origin": "1", "sha256": ["a.nii.gz"]}',
        '{"target": "a.nii.gz", "origin": "1", "sha256": null}',
        '{"target": "a.nii.gz", "origin": "1", "voxels": {"liver": "many"}}',
        '{"target": "a.nii.gz", "origin": "1", "voxels": {"liver": Infinity}}',
        '{"target": "a.nii.gz", "origin": "1", "volume_ml": {"liver": null}}',
        "[" * 100_000,
        "\xff\xfe",
    ],
)
def test_what_cannot_be_understood_is_passed_over(line, tmp_path):
    text = json.dumps({"target": "b.nii.gz", "origin": "2"})
    (tmp_path / NAME).write_bytes(f"{line}\n{text}\n".encode("latin-1"))
    assert set(read_journal(tmp_path)) == {"b.nii.gz"}


def test_whether_results_stand(tmp_path):
    for name in ("a.nii.gz", "a-probabilities.nii.gz"):
        (tmp_path / name).write_bytes(name.encode())
    entry = Entry("a.nii.gz", "1", {path.name: sha256_of(path) for path in tmp_path.iterdir()})
    assert entry.is_whole(tmp_path)
    assert entry.changed(tmp_path) == []
    (tmp_path / "a.nii.gz").write_bytes(b"a.nii.g")
    assert entry.changed(tmp_path) == ["a.nii.gz"]
    (tmp_path / "a.nii.gz").unlink()
    assert not entry.is_whole(tmp_path)
    assert entry.changed(tmp_path) == []
    assert not Entry("a.nii.gz", "1").is_whole(tmp_path)


def test_a_journal_that_cannot_be_kept(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(VesaliusError, match=r"cannot read vesalius-segment\.jsonl"):
        read_journal(tmp_path)
    with pytest.raises(VesaliusError, match=r"cannot write vesalius-segment\.jsonl"):
        note(tmp_path, DONE)
