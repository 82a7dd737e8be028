"""Members lent in memory, and results on their way back."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from vesalius.errors import PrivacyError
from vesalius.privacy.keys import Identity, new_identity
from vesalius.privacy.vault import Vault, add, create_vault, open_vault
from vesalius.privacy.vault.loan import Wish, lend, temporary_files_in


@pytest.fixture
def made(tmp_path) -> tuple[Vault, Identity]:
    identity, recipient = new_identity()
    for name in ("a", "b", "t.csv"):
        (tmp_path / name).write_text(name)
    files = {"in/a": tmp_path / "a", "in/b": tmp_path / "b", "t.csv": tmp_path / "t.csv", "out/a": tmp_path / "a"}
    return add(create_vault(tmp_path / "v", [recipient]), files), identity


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("wish", "lent"),
    [
        (Wish(("in/a",)), ["in/a"]),
        (Wish(("in",)), ["in/a", "in/b"]),
        (Wish(("",)), ["in/a", "in/b", "out/a", "t.csv"]),
        (Wish(("t.csv",)), ["in/a", "in/b", "out/a", "t.csv"]),  # a table may name any of them
        (Wish(("in/a",), ("out",)), ["in/a", "out/a"]),
    ],
)
def test_what_is_wanted_is_lent_and_nothing_else(made, wish, lent):
    vault, key = made
    with lend({vault.path: wish}, key) as loan:
        assert names_in(loan.vaults[vault.path]) == lent
        assert stat.S_IMODE(loan.folder.stat().st_mode) == 0o700
        assert loan.original(loan.plain(vault.path, "in/a")) == vault.path / "in/a"
        assert loan.renamed(f"{loan.plain(vault.path, 'in/a')} is damaged") == f"{vault.path / 'in/a'} is damaged"
        assert loan.original(vault.path / "x") == vault.path / "x"
    assert not loan.folder.exists()
    assert open_vault(vault.path, key).generation == vault.generation


def test_what_is_written_beside_a_result_under_its_name_comes_back(made):
    vault, key = made
    with lend({vault.path: Wish(("in/a",), ("new/s.nii.gz",))}, key) as loan:
        for name in ("s.nii.gz", "s-probabilities.nii.gz", "s-outer-left.nii.gz", "sometimes.nii.gz", "t-s.nii.gz"):
            loan.plain(vault.path, f"new/{name}").write_text("result")
        loan.plain(vault.path, "in/s-outer.nii.gz").write_text("elsewhere")
    new = {name for name in open_vault(vault.path, key).members if name not in vault.members}
    assert new == {"new/s.nii.gz", "new/s-probabilities.nii.gz", "new/s-outer-left.nii.gz"}


def test_what_is_written_below_a_result_comes_back_however_it_ends(made):
    vault, key = made

    def work() -> None:
        with lend({vault.path: Wish(("in",), ("out",))}, key) as loan:
            loan.plain(vault.path, "out/new").write_text("result")
            loan.plain(vault.path, "out/.part-1").write_text("not whole")
            loan.plain(vault.path, "in/c").write_text("beside")
            loan.plain(vault.path, "in/a").write_text("changed")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    after = open_vault(vault.path, key)
    assert set(after.members) == {*vault.members, "out/new"}
    assert {name: after.members[name] for name in vault.members} == dict(vault.members)


def test_somebody_who_changes_the_vault_meanwhile_is_not_in_the_way(made, tmp_path):
    vault, key = made
    with lend({vault.path: Wish((), ("found",))}, key) as loan:
        loan.plain(vault.path, "found").write_text("result")
        add(open_vault(vault.path, key), {"theirs": tmp_path / "a"})
    assert {"found", "theirs"} <= set(open_vault(vault.path, key).members)


def test_a_member_has_the_same_time_each_time_and_another_when_it_is_replaced(made, tmp_path):
    vault, key = made

    def moment() -> int:
        with lend({vault.path: Wish(("in/a",))}, key) as loan:
            return loan.plain(vault.path, "in/a").stat().st_mtime_ns

    before = moment()
    assert moment() == before
    add(open_vault(vault.path, key), {"in/a": tmp_path / "a"})
    assert moment() != before


def test_a_wrong_key_lends_nothing(made):
    vault, _ = made
    with pytest.raises(PrivacyError, match="opens none"), lend({vault.path: Wish(("in",))}, new_identity()[0]):
        raise AssertionError


def test_temporary_files_go_where_they_are_sent_and_then_no_more(tmp_path):
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with temporary_files_in(tmp_path):
        with tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).parent == tmp_path
        assert os.environ["TMPDIR"] == str(tmp_path)
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before
