"""The store: each object once, whole, in its place, whatever comes and whenever it is cut off."""

import os
import shutil
import stat
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from vesalius.errors import FormatError, VesaliusError
from vesalius.io import read
from vesalius.server.store import AnnouncedError, ConflictError, FullError, Store


def inside(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def changed(path, target, **elements):
    made = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    made.save_as(target)
    return target


def test_what_is_kept_is_what_came(store, ct):
    for path in ct:
        instance, outcome = store.add_file(path)
        assert outcome == "kept"
        assert instance.path.read_bytes()[132:] == path.read_bytes()[132:]
        assert instance.path.is_relative_to(store.folder)
    assert len(store.instances()) == len(ct) == 5
    first = store.instances()[0]
    assert store.instances(study=first.study, series=first.series) == store.instances()
    assert store.instances(instance=first.uid) == (first,)
    assert read(store.series_folder(first.study, first.series)).grid == read(ct[0].parent).grid


def test_nobody_else_may_read_it(store, ct):
    instance, _ = store.add_file(ct[0])
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(instance.path.stat().st_mode) == 0o600


def test_the_same_object_again_changes_nothing(store, ct):
    instance, _ = store.add_file(ct[0])
    before = instance.path.stat().st_mtime_ns
    assert store.add_file(ct[0])[1] == "known"
    assert instance.path.stat().st_mtime_ns == before


def test_the_same_data_set_in_other_bytes_is_the_same_object(store, ct, tmp_path):
    made = pydicom.dcmread(ct[0])
    made.RequestAttributesSequence = [pydicom.Dataset()]
    made.RequestAttributesSequence[0].ScheduledProcedureStepID = "1"
    made.save_as(tmp_path / "one.dcm")
    made["RequestAttributesSequence"].is_undefined_length = True
    made.save_as(tmp_path / "other.dcm")
    assert (tmp_path / "one.dcm").stat().st_size != (tmp_path / "other.dcm").stat().st_size
    assert store.add_file(tmp_path / "one.dcm")[1] == "kept"
    assert store.add_file(tmp_path / "other.dcm")[1] == "known"


def test_another_object_of_the_same_uid_is_refused_and_the_first_stays(store, ct, tmp_path):
    instance, _ = store.add_file(ct[0])
    before = instance.path.read_bytes()
    for elements in ({"PatientWeight": 70}, {"StudyInstanceUID": generate_uid()}):
        with pytest.raises(ConflictError):
            store.add_file(changed(ct[0], tmp_path / "other.dcm", **elements))
    assert instance.path.read_bytes() == before
    assert len(inside(store.folder / "objects")) == 1


def test_a_program_in_the_preamble_is_taken_out(store, ct):
    hostile = b"MZ" + b"\x90" * 126 + ct[0].read_bytes()[128:]
    instance, _ = store.add((hostile,))
    assert instance.path.read_bytes() == bytes(128) + hostile[128:]


@pytest.mark.parametrize(
    "uid", ["../../../../tmp/x", "/etc/passwd", "1.2.3/../../..", "1" * 65, "..", "1.2\0.3", "", "C:\\x"]
)
@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")
def test_hostile_uids_lead_nowhere(store, ct, tmp_path, keyword, uid):
    made = pydicom.dcmread(ct[0])
    made[keyword]._value = uid
    made.save_as(tmp_path / "hostile.dcm", enforce_file_format=False)
    before = inside(tmp_path)
    with pytest.raises(FormatError):
        store.add_file(tmp_path / "hostile.dcm")
    assert inside(tmp_path) == before
    assert store.instances() == ()


@pytest.mark.parametrize("size", [0, 10, 131, 132, 140, 400])
def test_what_is_cut_off_is_refused(store, ct, size):
    with pytest.raises(FormatError):
        store.add((ct[0].read_bytes()[:size],))
    assert inside(store.folder / "incoming") == inside(store.folder / "objects") == []


def test_what_is_not_dicom_is_refused(store):
    for data in (b"%PDF-1.7" + bytes(1000), b"\x08\x00" + os.urandom(500), bytes(128) + b"DICM" + bytes(200)):
        with pytest.raises(FormatError):
            store.add((data,))


def test_an_object_that_was_not_announced_is_refused(store, ct):
    with pytest.raises(AnnouncedError):
        store.add((ct[0].read_bytes(),), expected=("1.2.840.10008.5.1.4.1.1.2", "1.2.3"))
    with pytest.raises(AnnouncedError):
        store.add((ct[0].read_bytes(),), study="1.2.3")
    assert store.instances() == ()


def test_what_is_too_large_is_refused_on_the_way(tmp_path, ct):
    taken = []

    def endless():
        yield ct[0].read_bytes()
        while True:
            taken.append(1)
            yield bytes(1 << 16)

    with closing(Store(tmp_path / "small", largest_object=1 << 20)) as store:
        with pytest.raises(FullError):
            store.add(endless())
        assert len(taken) < 20
        assert inside(store.folder / "incoming") == []


def test_a_disk_that_is_nearly_full_is_left_alone(tmp_path, ct):
    free = shutil.disk_usage(tmp_path).free
    with closing(Store(tmp_path / "full", keep_free=free + (1 << 34))) as store, pytest.raises(FullError):
        store.add_file(ct[0])


def test_a_store_belongs_to_one_process(store):
    with pytest.raises(VesaliusError, match="another node"):
        Store(store.folder)


def test_a_crash_before_the_name_leaves_nothing(tmp_path, ct, monkeypatch):
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process tidies nothing
    with closing(Store(tmp_path / "s")) as store:
        with pytest.raises(KeyboardInterrupt):
            store.add_file(ct[0])
        assert len(inside(store.folder / "incoming")) == 1
    monkeypatch.undo()
    with closing(Store(tmp_path / "s")) as store:
        assert inside(store.folder / "incoming") == []
        assert store.instances() == ()
        assert store.add_file(ct[0])[1] == "kept"


def test_a_crash_between_the_name_and_the_index_loses_nothing(tmp_path, ct, monkeypatch):
    monkeypatch.setattr(Store, "_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with closing(Store(tmp_path / "s")) as store, pytest.raises(KeyboardInterrupt):
        store.add_file(ct[0])
    monkeypatch.undo()
    with closing(Store(tmp_path / "s")) as store:
        (instance,) = store.instances()
        assert instance.path.read_bytes() == bytes(128) + ct[0].read_bytes()[128:]
        assert store.add_file(ct[0])[1] == "known"


def test_files_that_others_put_there_are_not_taken_up(tmp_path, ct):
    with closing(Store(tmp_path / "s")) as store:
        instance, _ = store.add_file(ct[0])
        shutil.copy(ct[1], instance.path.with_name("0" * 32 + ".dcm"))
        instance.path.with_name("1" * 32 + ".dcm").write_bytes(b"no DICOM")
    with closing(Store(tmp_path / "s")) as store:
        assert store.instances() == (instance,)


def test_a_database_that_is_none_is_told(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "node.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(FormatError, match="not a database"):
        Store(tmp_path / "s")
    with pytest.raises(FormatError):  # and the store is not held
        Store(tmp_path / "s")
