"""Vaults and audit chains that come back from a backup: whole, in part, or older than what there was."""

import shutil
from pathlib import Path

import pytest

from vesalius.errors import VesaliusError
from vesalius.privacy.audit import append, create_chain
from vesalius.privacy.keys import new_identity
from vesalius.privacy.vault import add, create_vault, extract, find_damage, open_vault
from vesalius.privacy.vault.changes import files_below
from vesalius.privacy.verify import checkpoint, new_signer, verify, write_receipt


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / "data" / name).write_text(name * 1000)
    return tmp_path / "data"


def test_a_vault_restored_elsewhere_opens_whole(tmp_path, data):
    identity, recipient = new_identity()
    add(create_vault(tmp_path / "vault", [recipient]), files_below(data))
    shutil.copytree(tmp_path / "vault", tmp_path / "backup")
    shutil.rmtree(tmp_path / "vault")
    restored = open_vault(tmp_path / "backup", identity)
    assert not find_damage(restored)
    extract(restored, tmp_path / "out")
    assert {path.name: path.read_text() for path in (tmp_path / "out").rglob("*.txt")} == {
        path.name: path.read_text() for path in data.iterdir()
    }


def test_a_vault_restored_in_part_says_what_is_missing(tmp_path, data):
    identity, recipient = new_identity()
    add(create_vault(tmp_path / "vault", [recipient]), files_below(data))
    shutil.copytree(tmp_path / "vault", tmp_path / "backup")
    members = sorted(
        (path for path in (tmp_path / "backup").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    members[-1].unlink()
    restored = open_vault(tmp_path / "backup", identity)
    assert len(find_damage(restored)) == 1
    with pytest.raises(VesaliusError, match=r"missing|damaged"):
        extract(restored, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.txt"):  # what did come out is whole
        assert path.read_text() == (data / path.name).read_text()


def test_an_audit_chain_restored_from_before_is_known_by_its_receipt(tmp_path):
    chain = create_chain(tmp_path / "audit", who="ada")
    append(chain, "read", {"files": 1}, who="ada")
    shutil.copytree(chain, tmp_path / "backup")
    append(chain, "train", {"files": 2}, who="eve")
    public = new_signer(tmp_path / "signer")
    write_receipt(checkpoint(chain, tmp_path / "signer"), tmp_path / "receipt.json")
    assert verify(chain, public_key=public, receipt=tmp_path / "receipt.json").broken is None
    shutil.rmtree(chain)
    shutil.copytree(tmp_path / "backup", chain)
    assert verify(chain).broken is None  # by itself, the old chain is sound
    told = verify(chain, receipt=tmp_path / "receipt.json").broken
    assert told is not None
    assert told.fault == "truncated"
    append(chain, "read", {"files": 1}, who="eve")  # going on from there does not hide it
    assert verify(chain, receipt=tmp_path / "receipt.json").broken is not None
