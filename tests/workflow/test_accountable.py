"""Vault, audit chain and roles through the executable, and verbs under the rules that lie with data."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from vesalius.cli import main
from vesalius.image import Grid, Volume
from vesalius.io import write
from vesalius.privacy.access import Access, read_access
from vesalius.privacy.audit import CHAIN, account, entries
from vesalius.privacy.verify import verify

NAME = "Nightingale_Florence"


@pytest.fixture
def house(tmp_path, rng) -> Path:
    """An image whose name tells who it is, an audit chain and roles."""
    folder = tmp_path / "house"
    (folder / "data").mkdir(parents=True)
    image = Volume(rng.normal(size=(1, 6, 7, 8)).astype(np.float32), Grid.from_spacing((6, 7, 8), (1.0, 1.0, 2.0)))
    write(image, folder / "data" / f"{NAME}.nii.gz")
    assert main(["audit", "create", str(folder / "audit")]) == 0
    assert main(["access", "create", str(folder / "access.json")]) == 0
    (folder / "vesalius-privacy.toml").write_text('audit = "audit"\naccess = "access.json"\n')
    return folder


def role(house: Path, *roles: str) -> None:
    told = {"format": "vesalius access 1", "roles": {account(): list(roles)}}
    (house / "access.json").write_text(json.dumps(told))


def acts(house: Path) -> list[tuple[str, str, str]]:
    return [(e.act, e.about["verb"], e.about["state"]) for e in entries(house / "audit") if "verb" in e.about]


def test_what_is_done_is_noted_before_and_after_without_a_name(house, capsys):
    role(house, "viewer")
    image = house / "data" / f"{NAME}.nii.gz"
    assert main(["show", str(image)]) == 0
    assert main(["preprocess", str(image), "-o", str(house / "out.nii.gz"), "--step", "gaussian sigma_mm=1"]) == 0
    assert main(["show", str(house / "data" / "nobody.nii.gz")]) == 1
    assert main(["show", str(house / "vesalius-privacy.toml")]) == 1
    assert acts(house) == [
        ("read", "show", "begun"),
        ("read", "show", "done"),
        ("changed", "preprocess", "begun"),
        ("changed", "preprocess", "done"),
        ("read", "show", "begun"),
        ("read", "show", "failed"),
    ]
    chain = (house / "audit" / CHAIN).read_text()
    assert NAME not in chain
    assert "data" not in chain
    capsys.readouterr()
    assert main(["audit", "show", str(house / "audit"), "--about", str(image), "--json"]) == 1  # not a viewer's
    role(house, "data-officer")
    capsys.readouterr()
    assert main(["audit", "show", str(house / "audit"), "--about", str(image), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["entries"]
    assert [entry["about"]["verb"] for entry in told] == ["show", "show", "preprocess", "preprocess"]
    assert {entry["who"] for entry in told} == {account()}


def test_results_that_go_under_rules_are_noted_too(house, tmp_path):
    role(house, "viewer")
    image = tmp_path / "outside.nii.gz"
    (house / "data" / f"{NAME}.nii.gz").rename(image)
    assert main(["preprocess", str(image), "-o", str(house / "in.nii.gz"), "--step", "gaussian sigma_mm=1"]) == 0
    assert acts(house) == [("changed", "preprocess", "begun"), ("changed", "preprocess", "done")]


@pytest.mark.parametrize(
    ("verb", "act", "needed"),
    [
        (["show", "data/x.nii.gz"], "view", "viewer or annotator or trainer or data-officer"),
        (["classical", "otsu", "data/x.nii.gz", "-o", "out.nii.gz"], "segment", "annotator or trainer"),
        (["fit", "data", "-o", "model"], "train", "trainer"),
        (["vault", "create", "vault", "--new-key", "data"], "vault", "data-officer"),
        (["access", "grant", "access.json", "eve", "viewer"], "access", "administrator"),
        (["deidentify", "data", "-o", "out", "--key", "data"], "deidentify", "data-officer"),
        (["deidentify", "--links", "data/x.nii.gz", "--reveal", "ANON-1"], "reidentify", "data-officer"),
        (["audit", "verify", "audit"], "audit", "data-officer or administrator"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_who_has_no_role_for_it_is_refused_and_that_is_noted(house, monkeypatch, capsys, verb, act, needed):
    monkeypatch.chdir(house)
    (house / "data" / f"{NAME}.nii.gz").rename(house / "data" / "x.nii.gz")
    told = {"format": "vesalius access 1", "roles": {"somebody": ["administrator"]}}
    assert account() != "somebody"
    (house / "access.json").write_text(json.dumps(told))
    before = sorted(path.name for path in house.iterdir())
    capsys.readouterr()
    assert main(verb) == 1
    assert f"may not {act} here; {needed} may: ask an administrator" in capsys.readouterr().err
    assert [state for _, _, state in acts(house)] == ([] if verb[0] == "audit" else ["refused"])
    assert sorted(path.name for path in house.iterdir()) == before


def test_where_nothing_can_be_noted_nothing_is_done(house, capsys):
    role(house, "viewer")
    chain = house / "audit" / CHAIN
    chain.write_bytes(chain.read_bytes()[:-10])
    image = house / "data" / f"{NAME}.nii.gz"
    capsys.readouterr()
    assert main(["preprocess", str(image), "-o", str(house / "out.nii.gz"), "--step", "gaussian sigma_mm=1"]) == 1
    assert "the audit chain was changed at its end" in capsys.readouterr().err
    assert not (house / "out.nii.gz").exists()


def test_a_broken_chain_is_told_and_verifying_adds_nothing(house, capsys, tmp_path):
    role(house, "viewer", "data-officer")
    for _ in range(3):
        assert main(["show", str(house / "data" / f"{NAME}.nii.gz")]) == 0
    audit = house / "audit"
    assert main(["audit", "key", str(tmp_path / "signer")]) == 0
    public = capsys.readouterr().out.split()[-1]
    assert main(["audit", "checkpoint", str(audit), "--key", str(tmp_path / "signer"), "-o", str(tmp_path / "r")]) == 0
    before = (audit / CHAIN).read_bytes()
    capsys.readouterr()
    assert main(["audit", "verify", str(audit), "--public-key", public, "--receipt", str(tmp_path / "r")]) == 0
    assert f"intact: 8 entries, signed up to entry 7 by {public}" in capsys.readouterr().out
    assert (audit / CHAIN).read_bytes() == before
    (audit / CHAIN).write_bytes(before + b'{"about":{"torn')
    assert main(["audit", "verify", str(audit)]) == 0
    assert "a line of 15 bytes behind them was torn by a crash" in capsys.readouterr().out
    lines = before.splitlines(keepends=True)
    (audit / CHAIN).write_bytes(b"".join([*lines[:3], *lines[4:]]))
    assert main(["audit", "verify", str(audit)]) == 1
    assert "broken at entry 4 (deleted): entry 4 is missing: entry 5 follows entry 3" in capsys.readouterr().out
    assert main(["audit", "verify", str(audit), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["intact"], told["broken"]["entry"], told["broken"]["fault"]) == (False, 4, "deleted")


def test_roles_are_given_and_taken(tmp_path, capsys):
    place = tmp_path / "access.json"
    assert main(["access", "create", str(place)]) == 0
    assert main(["access", "grant", str(place), "ada", "trainer"]) == 0
    assert read_access(place) == Access({account(): ("administrator",), "ada": ("trainer",)})
    assert main(["access", "check", str(place), "ada", "train"]) == 0
    assert main(["access", "check", str(place), "ada", "vault"]) == 1
    assert main(["access", "revoke", str(place), "ada", "trainer"]) == 0
    assert main(["access", "check", str(place), "ada", "train"]) == 1
    capsys.readouterr()
    assert main(["access", "list", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "roles": {account(): ["administrator"]},
        "tokens": {account(): 0},
        "titles": {},
    }


# --- the vault --------------------------------------------------------------------------------------------------------


def test_a_vault_from_its_making_to_its_rotation(house, tmp_path, capsys):
    role(house, "data-officer")
    first, second, vault = tmp_path / "first", tmp_path / "second", house / "vault"
    assert main(["vault", "key", str(first)]) == 0
    recipient = capsys.readouterr().out.split()[-1]
    assert main(["vault", "key", str(second)]) == 0
    assert main(["vault", "create", str(vault), "--recipient", recipient]) == 0
    assert main(["vault", "add", str(vault), str(house / "data"), "--key", str(first)]) == 0
    capsys.readouterr()
    assert main(["vault", "list", str(vault), "--key", str(first), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["members"]] == [f"data/{NAME}.nii.gz"]
    assert main(["vault", "rotate", str(vault), "--key", str(first), "--new-key", str(second)]) == 0
    assert main(["vault", "open", str(vault), "--key", str(first), "-o", str(tmp_path / "out")]) == 1
    assert "this key opens none of its 1 locks" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["vault", "open", str(vault), "--key", str(second), "-o", str(tmp_path / "out")]) == 0
    original = house / "data" / f"{NAME}.nii.gz"
    assert (tmp_path / "out" / "data" / original.name).read_bytes() == original.read_bytes()
    assert main(["vault", "open", str(vault), "--key", str(second), "-o", str(vault / "out")]) == 1
    assert main(["vault", "verify", str(vault), "--key", str(second)]) == 0
    member = next((vault / "objects").iterdir())
    member.write_bytes(member.read_bytes()[:-1])
    capsys.readouterr()
    assert main(["vault", "verify", str(vault), "--key", str(second), "--json"]) == 1
    assert "is damaged" in json.loads(capsys.readouterr().out)["damaged"][0]["reason"]
    assert main(["vault", "verify", str(vault), "--key", str(second)]) == 1
    assert NAME not in capsys.readouterr().err
    assert main(["vault", "remove", str(vault), "data", "--key", str(second)]) == 0
    noted = [entry.about["generation"] for entry in entries(house / "audit") if entry.about.get("act") == "rotate"]
    assert noted == [2, 3]  # a vault that is put back as it was before is not the one that the chain knows
    assert verify(house / "audit").broken is None


def test_a_vault_that_is_put_back_as_it_was_is_told(house, tmp_path, capsys):
    role(house, "data-officer")
    key, vault = tmp_path / "key", house / "vault"
    assert main(["vault", "key", str(key)]) == 0
    assert main(["vault", "create", str(vault), "--new-key", str(key)]) == 0
    shutil.copytree(vault, tmp_path / "first")
    verified = ["vault", "verify", str(vault), "--key", str(key)]
    assert main(["vault", "add", str(vault), str(house / "data"), "--key", str(key)]) == 0
    assert main(verified) == 0
    shutil.rmtree(vault)
    shutil.copytree(tmp_path / "first", vault)
    capsys.readouterr()
    assert main(verified) == 1
    assert "at generation 1, and the audit chain knows generation 2: it was put back" in capsys.readouterr().err
    assert main(["vault", "add", str(vault), str(house / "access.json"), "--key", str(key)]) == 0
    assert main([*verified, "--json"]) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["damaged"], told["generation"]) == ([], 2)
    assert told["put_back"].startswith("its generation 2 is not the one that the audit chain knows")


def test_a_passphrase_is_asked_for_and_never_an_argument(tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    vault, words = str(tmp_path / "vault"), "correct horse battery staple"
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["vault", "create", vault]) == 1
    assert "there is nobody to ask for a passphrase" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Terminal())
    answers = iter([words, "something else", words, words, words, "a wrong passphrase"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert main(["vault", "create", vault]) == 1
    assert "the two passphrases differ" in capsys.readouterr().err
    assert not os.path.lexists(vault)
    assert main(["vault", "create", vault]) == 0
    assert main(["vault", "list", vault]) == 0
    assert main(["vault", "list", vault]) == 1
    assert words not in "".join(capsys.readouterr())
