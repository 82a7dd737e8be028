"""Which paths lead into a vault."""

from pathlib import Path

import pytest

from vesalius.privacy.inside import HEAD, vault_of


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / HEAD).write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "vault", "name"),
    [
        ("v", "v", ""),
        ("v/", "v", ""),
        ("v/a/b.nii.gz", "v", "a/b.nii.gz"),
        ("./v/a", "v", "a"),
        ("x/../v/a", "x/../v", "a"),
    ],
)
def test_members_and_the_vault_itself(place, path, vault, name):
    (place / "x").mkdir()
    assert vault_of(path) == (Path(vault), name)
    assert vault_of(place / path) == (place / vault, name)


@pytest.mark.parametrize("path", ["a.nii.gz", "vv/a", "", ".", "/", "name\0with", "x" * 5000, "v.zip"])
def test_what_leads_into_none(place, path):
    assert vault_of(path) is None


def test_in_a_vault_words_are_not_its_members(place, monkeypatch):
    monkeypatch.chdir(place / "v")
    assert [vault_of(word) for word in ("cpu", "liver=1,tumour=2", "images/a.nii.gz")] == [None, None, None]
    assert vault_of(".") == (Path(), "")
    assert vault_of("../v/a") == (Path("../v"), "a")
