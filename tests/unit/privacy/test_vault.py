"""A vault is the one from before or the new one, and every byte of it counts."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from vesalius import read, read_labels, write
from vesalius.errors import FormatError, PrivacyError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.privacy.keys import Identity, Passphrase, new_identity, write_secret
from vesalius.privacy.vault import (
    Vault,
    add,
    create_vault,
    extract,
    find_damage,
    member,
    open_vault,
    plain,
    relock,
    remove,
    rotate,
)
from vesalius.privacy.vault.changes import files_below

GRID = Grid.from_spacing((4, 5, 6), (1.0, 1.0, 3.0))


@pytest.fixture(scope="module")
def keys():
    return new_identity(), new_identity()


@pytest.fixture
def data(tmp_path, rng) -> Path:
    folder = tmp_path / "cohort"
    (folder / "p1").mkdir(parents=True)
    write(Volume(rng.normal(size=(1, 4, 5, 6)).astype(np.float32), GRID), folder / "p1" / "ct.nii.gz")
    labels = LabelMap(np.arange(120).reshape(4, 5, 6) % 3, GRID, Labels.of({"a": 1, "b": 2}))
    write(labels, folder / "p1" / "labels.nii.gz")
    (folder / "empty.txt").touch()
    return folder


@pytest.fixture
def vault(tmp_path, data, keys) -> Vault:
    (_, recipient), _ = keys
    return add(create_vault(tmp_path / "vault", [recipient]), files_below(data))


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_it_gives_back_what_went_in(vault, data, keys, tmp_path):
    opened = open_vault(vault.path, keys[0][0])
    assert opened.generation == vault.generation == 2
    assert list(opened.members) == ["cohort/empty.txt", "cohort/p1/ct.nii.gz", "cohort/p1/labels.nii.gz"]
    assert find_damage(opened) == {}
    extract(opened, tmp_path / "out")
    assert content(tmp_path / "out" / "cohort") == content(data)


def test_nothing_of_it_shows(vault, data):
    """Neither content nor names are in any byte of the folder."""
    held = b"".join(content(vault.path).values()) + " ".join(content(vault.path)).encode()
    for word in (b"cohort", b"labels", b"ct.nii", (data / "p1" / "ct.nii.gz").read_bytes()[:16]):
        assert word not in held
    assert "ct.nii" not in repr(vault)
    assert vault.key.hex() not in repr(vault)
    assert repr(vault.key) not in repr(vault)


def test_read_opens_its_members(vault, data):
    image = read(member(vault, "cohort/p1/ct.nii.gz"))
    assert np.array_equal(image.array, read(data / "p1" / "ct.nii.gz").array)
    labels = read_labels(member(vault, "cohort/p1/labels.nii.gz"))
    assert labels.labels.names == ("a", "b")
    assert list(plain.MEMORY.glob(f"vesalius-lent-{os.getpid()}-*")) == []


def test_a_dicom_folder_is_read_out_of_it(tmp_path, keys, shared_data):
    series = min((shared_data / "brain_mr_dicom").iterdir())
    vault = add(create_vault(tmp_path / "vault", [keys[0][1]]), files_below(series))
    found = read(member(vault, series.name), series="a52219d5")
    assert np.array_equal(found.array, read(series, series="a52219d5").array)


def test_a_loan_is_for_its_user_and_gone_afterwards(vault, tmp_path):
    with member(vault, "cohort", folder=tmp_path).lent() as folder:
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert sorted(path.name for path in folder.iterdir()) == ["empty.txt", "p1"]
    assert not folder.parent.exists()


def test_the_loan_of_a_killed_process_is_removed_by_the_next(vault, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = tmp_path / f"vesalius-lent-{process.pid}-x"
    ours = tmp_path / f"vesalius-lent-{os.getpid()}-x"
    for folder in (left, ours):
        folder.mkdir()
        (folder / "ct.nii.gz").touch()
    with member(vault, "cohort/empty.txt", folder=tmp_path).lent():
        pass
    assert not left.exists()
    assert ours.exists()


def test_what_does_not_fit_into_memory_is_not_put_on_a_disk_silently(vault, monkeypatch, tmp_path):
    monkeypatch.setattr(plain, "MEMORY", tmp_path / "nowhere")
    with pytest.raises(PrivacyError, match="does not fit into memory"), member(vault, "cohort/p1").lent():
        pass


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_told_apart_from_damage(vault, keys):
    for wrong in (keys[1][0], Passphrase("correct horse battery staple")):
        with pytest.raises(PrivacyError, match="this key opens none of its 1 locks"):
            open_vault(vault.path, wrong)


def test_several_people_have_several_locks(tmp_path, keys):
    words = Passphrase("correct horse battery staple")
    create_vault(tmp_path / "vault", [keys[0][1], words, keys[1][1]])
    opened = [open_vault(tmp_path / "vault", key).key for key in (keys[0][0], words, keys[1][0])]
    assert len(set(opened)) == 1


def test_relocking_lets_others_in_and_the_old_key_out(vault, keys):
    renewed = relock(vault, [keys[1][1]])
    assert renewed.members == vault.members
    assert find_damage(open_vault(vault.path, keys[1][0])) == {}
    with pytest.raises(PrivacyError):
        open_vault(vault.path, keys[0][0])
    with pytest.raises(PrivacyError, match="1 to 64 locks"):
        rotate(renewed, [])


def test_rotation_seals_everything_anew(vault, keys, tmp_path, data):
    before = content(vault.path)
    renewed = rotate(vault, [keys[1][1]])
    after = content(vault.path)
    assert renewed.key != vault.key
    assert {name for name in before if name in after} == {"vault.json", ".lock"}
    assert before["vault.json"] != after["vault.json"]
    with pytest.raises(PrivacyError):
        open_vault(vault.path, keys[0][0])
    extract(open_vault(vault.path, keys[1][0]), tmp_path / "out")
    assert content(tmp_path / "out" / "cohort") == content(data)


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 4])
def test_a_rotation_that_is_killed_leaves_the_old_vault(vault, keys, moment, tmp_path, data):
    """The process dies without a word after so many new files, the last time before the head is replaced."""
    for n, (identity, _) in enumerate(keys):
        write_secret(tmp_path / f"key{n}", identity.text)
    code = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        import vesalius.io.atomic as atomic
        from vesalius.privacy.keys import read_key, recipient_of
        from vesalius.privacy.vault import open_vault, rotate
        folder, moment = Path(sys.argv[1]), int(sys.argv[2])
        written = 0
        replace = Path.replace
        def dying(self, target):
            global written
            if written == moment:
                os._exit(9)
            written += 1
            return replace(self, target)
        vault = open_vault(folder / "vault", read_key(folder / "key0"))
        Path.replace = dying
        rotate(vault, [recipient_of(read_key(folder / "key1"))])
    """)
    command = [sys.executable, "-c", code, str(tmp_path), str(moment)]
    assert subprocess.run(command, check=False).returncode == 9
    with pytest.raises(PrivacyError):
        open_vault(vault.path, keys[1][0])
    standing = open_vault(vault.path, keys[0][0])
    assert find_damage(standing) == {}
    left = len(content(vault.path))
    renewed = rotate(standing, [keys[1][1]])  # done again, it is done, and nothing of the first attempt is left
    assert renewed.generation == standing.generation + 1
    assert len(content(vault.path)) == 2 + 1 + len(vault.members) <= left
    extract(open_vault(vault.path, keys[1][0]), tmp_path / "out")
    assert content(tmp_path / "out" / "cohort") == content(data)


def test_a_damaged_member_is_not_rotated_away(vault, keys):
    victim = vault.path / "objects" / vault.members["cohort/p1/ct.nii.gz"].stream
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(FormatError, match="the member 2 of 3: chunk 1 is damaged"):
        rotate(vault, [keys[1][1]])
    assert set(find_damage(open_vault(vault.path, keys[0][0]))) == {"cohort/p1/ct.nii.gz"}


# --- damage -----------------------------------------------------------------------------------------------------------


def test_every_byte_of_the_folder_counts(vault, keys):
    """A bit of every byte of the head, the index and the smallest member is flipped in turn."""
    identity = keys[0][0]
    files = [vault.path / "vault.json", *vault.path.glob("index-*")]
    files.append(vault.path / "objects" / vault.members["cohort/empty.txt"].stream)
    for file in files:
        sound = file.read_bytes()
        for at in range(len(sound)):
            changed = bytearray(sound)
            changed[at] ^= 1 << at % 8
            file.write_bytes(changed)
            try:
                damaged = find_damage(open_vault(vault.path, identity))
            except VesaliusError:
                damaged = {"cohort/empty.txt": "refused"}
            assert set(damaged) == {"cohort/empty.txt"}, (file.name, at)
        file.write_bytes(sound)
    assert find_damage(open_vault(vault.path, identity)) == {}


def test_members_cannot_change_places(vault, keys):
    one, other = (vault.path / "objects" / vault.members[f"cohort/p1/{n}.nii.gz"].stream for n in ("ct", "labels"))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    damaged = find_damage(open_vault(vault.path, keys[0][0]))
    assert {words.partition(": ")[2].partition("; ")[0] for words in damaged.values()} == {
        "the member 2 of 3: another sealed file stands in its place, or its id is damaged",
        "the member 3 of 3: another sealed file stands in its place, or its id is damaged",
    }
    with pytest.raises(FormatError, match="another sealed file stands in its place"):
        read(member(vault, "cohort/p1/ct.nii.gz"))


def test_a_missing_member_and_a_missing_list_are_named(vault, keys):
    (vault.path / "objects" / vault.members["cohort/empty.txt"].stream).unlink()
    assert "its file is missing" in find_damage(vault)["cohort/empty.txt"]
    next(vault.path.glob("index-*")).unlink()
    with pytest.raises(FormatError, match="the list of its members is missing"):
        open_vault(vault.path, keys[0][0])


def test_an_older_list_does_not_pass_for_the_newest(vault, keys, tmp_path):
    """Somebody puts the index back as it was when a member was still there."""
    shutil.copytree(vault.path, tmp_path / "copy")
    index = next(vault.path.glob("index-*"))
    remove(vault, ["cohort/p1"])
    newest = next(vault.path.glob("index-*"))
    shutil.copy(tmp_path / "copy" / index.name, newest)
    with pytest.raises(FormatError, match="another sealed file stands in its place"):
        open_vault(vault.path, keys[0][0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"generation": 9}, "vault.json was changed"),
        ({"locks": []}, "damaged, or not that of a vault"),
        ({"version": 2}, "another version"),
        ({"index": "../../etc/passwd"}, "damaged, or not that of a vault"),
        ({"format": "zip"}, "damaged, or not that of a vault"),
    ],
)
def test_a_head_that_was_edited_is_refused(vault, keys, change, words):
    head = vault.path / "vault.json"
    head.write_text(json.dumps({**json.loads(head.read_text()), **change}))
    with pytest.raises(FormatError, match=words):
        open_vault(vault.path, keys[0][0])


def test_a_lock_that_somebody_added_is_refused(vault, keys):
    """A lock of another vault is put in: it opens for its owner, and the seal of the head shows it."""
    head = vault.path / "vault.json"
    told = json.loads(head.read_text())
    head.write_text(json.dumps({**told, "locks": told["locks"] * 2}))
    with pytest.raises(FormatError, match=r"vault\.json was changed"):
        open_vault(vault.path, keys[0][0])


# --- changes ----------------------------------------------------------------------------------------------------------


def test_who_changed_it_first_wins(vault, keys, data):
    mine, theirs = open_vault(vault.path, keys[0][0]), open_vault(vault.path, keys[0][0])
    remove(theirs, ["cohort/empty.txt"])
    with pytest.raises(PrivacyError, match="open it again"):
        add(mine, files_below(data))
    assert len(open_vault(vault.path, keys[0][0]).members) == 2


def test_who_reads_while_it_is_changed_is_told_to_open_it_again(vault, keys):
    reader = open_vault(vault.path, keys[0][0])
    rotate(vault, [keys[0][1]])
    with pytest.raises(PrivacyError, match="somebody changed it since it was opened; open it again"):
        read(member(reader, "cohort/p1/ct.nii.gz"))


def test_a_change_that_fails_leaves_the_vault(vault, keys, tmp_path):
    with pytest.raises(VesaliusError):
        add(vault, {"a": tmp_path / "no such file"})
    assert find_damage(open_vault(vault.path, keys[0][0])) == {}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a//b", "a/./b", "", "a\\b", "a\x00b", "x" * 1025])
def test_names_lead_nowhere_else(vault, name, data):
    with pytest.raises(PrivacyError, match="relative path"):
        add(vault, {name: data / "empty.txt"})


def test_a_member_is_not_file_and_folder_at_once(vault, data):
    with pytest.raises(PrivacyError, match="file and a folder at once"):
        add(vault, {"cohort/p1": data / "empty.txt"})


def test_links_are_not_followed(vault, data):
    (data / "link").symlink_to("/etc/passwd")
    with pytest.raises(VesaliusError, match="1 links, pipes or devices"):
        files_below(data)


def test_what_is_no_vault_or_no_member_is_told(tmp_path, vault):
    with pytest.raises(FormatError, match="it is not a vault"):
        open_vault(tmp_path, Identity("AGE-SECRET-KEY-1"))
    with pytest.raises(PrivacyError, match="holds no member of this name"):
        member(vault, "cohort/p9")
    with pytest.raises(VesaliusError, match="not empty"):
        create_vault(vault.path, [Passphrase("correct horse battery staple")])


def test_a_seal_of_the_head_that_is_no_number(vault, keys):
    head = json.loads((vault.path / "vault.json").read_text())
    (vault.path / "vault.json").write_text(json.dumps({**head, "mac": "é" + head["mac"][1:]}))
    with pytest.raises(FormatError, match=r"vault\.json was changed"):
        open_vault(vault.path, keys[0][0])
