"""Every verb that reads patients' data, or makes something of them, leaves its entry in the chain that lies there."""

import importlib
import shlex
from pathlib import Path

import pytest

from vesalius.cli import VERBS, main, module_of
from vesalius.privacy.audit import create_chain, entries, name_hash

NOTED = {
    "index": ["read", "data --manifest out.csv", "data", "out.csv"],
    "plan": ["read", "data -o plan.json", "data", "plan.json"],
    "fit": ["trained", "data -o model --from start --cache kept", "data start", "model kept"],
    "calibrate": ["calibrated", "start data -o model --held-out", "start data", "model"],
    "tune": ["trained", "data -o tuned --space a.json", "data a.json", "tuned"],
    "segment": ["segmented", "data/a.nii data/b.nii --bundle start -o out", "data/a.nii data/b.nii start", "out"],
    "stream": ["segmented", "data/a.mp4 --bundle start -o a.csv -o b.tif", "data/a.mp4 start", "a.csv b.tif"],
    "export": ["exported", "start --to onnx -o out --case data/a.nii", "start data/a.nii", "out"],
    "import": ["imported", "nnunet data -o model", "data", "model"],
    "preprocess": ["changed", "data/a.nii -o out.nii --save steps.json", "data/a.nii", "out.nii steps.json"],
    "register": [
        "changed",
        "data/a.nii data/b.nii -o c.nii --save-transform t.txt",
        "data/a.nii data/b.nii",
        "c.nii t.txt",
    ],
    "classical": ["segmented", "otsu data/a.nii -o out.nii", "data/a.nii", "out.nii"],
    "pixels train": ["trained", "train data/a.nii --scribbles data/b.nii -o model", "data/a.nii data/b.nii", "model"],
    "pixels segment": ["segmented", "segment data/a.nii --classifier start -o out.nii", "data/a.nii start", "out.nii"],
    "measure": ["read", "data/b.nii --image data/a.nii -o out.csv", "data/b.nii data/a.nii", "out.csv"],
    "change": ["exported", "data/a.nii data/b.nii -o out", "data/a.nii data/b.nii", "out"],
    "stack": [
        "changed",
        "data/a.nii --images data/b.nii -o out.nii --image-out c.nii",
        "data/a.nii data/b.nii",
        "out.nii c.nii",
    ],
    "mesh": ["exported", "data/a.nii -o out", "data/a.nii", "out"],
    "print": ["exported", "data/a.nii -o out.stl", "data/a.nii", "out.stl"],
    "render": ["exported", "data/a.nii -o out.png", "data/a.nii", "out.png"],
    "picture": ["exported", "data/a.nii --seg data/b.nii -o out.png", "data/a.nii data/b.nii", "out.png"],
    "convert": ["exported", "data/a.nii out.nrrd --source data", "data/a.nii data", "out.nrrd"],
    "evaluate": ["read", "data/a.nii --reference data/b.nii -o out", "data/a.nii data/b.nii", "out"],
    "evaluate several": ["read", "x=data/a.nii y=data/b.nii --reference data/b.nii", "data/a.nii data/b.nii", ""],
    "show": ["read", "data/a.nii", "data/a.nii", ""],
    "study": ["trained", "follow-up data -o out --trained start", "data start", "out"],
    "deidentify": ["de-identified", "data -o out --key a.json --report r.json --quarantine q", "data", "out r.json q"],
    "deidentify reveal": ["re-identified", "--links data/a.nii --reveal ANON", "", "data/a.nii"],
    "vault": ["vault", "add data/v data/a.nii", "data/v data/a.nii", ""],
    "consent": ["consent", "withdraw --patients data/a.nii --purpose training --bundles start", "data/a.nii start", ""],
    "access": ["access", "grant a.json ada viewer", "a.json", ""],
    "dicom-node send": ["served", "send 127.0.0.1:104 data/a.nii", "data/a.nii", ""],
    "dicom-node get": ["served", "get 127.0.0.1:104 --study 1.2.3 --store data", "", "data"],
}
"""By verb: the word in the chain, arguments, the files that the entry must name, and the results."""

NOT_NOTED = {
    "demo": "its images are made on the spot or come with the package",
    "models": "it lists what comes with the package",
    "audit": "whoever verifies a chain must not change it; checkpoints are entries of their own",
}

STUDY = "follow-up"


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    """Files that are there, a chain, and rules that lie with all of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("data/a.nii", "data/b.nii", "data/a.mp4", "data/v/x", "start/bundle.json", "a.json"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("{}")
    create_chain("audit")
    Path("vesalius-privacy.toml").write_text('audit = "audit"\n')
    return tmp_path


def test_every_verb_is_listed():
    noted = {name.partition(" ")[0] for name in NOTED}
    assert noted | set(NOT_NOTED) == set(VERBS)
    assert not noted & set(NOT_NOTED)


@pytest.mark.parametrize("name", NOTED)
def test_a_verb_leaves_its_entries(house, name, monkeypatch):
    verb = name.partition(" ")[0]
    word, arguments, read, made = NOTED[name]
    if verb == "study":
        from vesalius.studies import STUDIES

        arguments = arguments.replace(STUDY, next(iter(STUDIES)))
    states = []
    module = importlib.import_module(module_of(verb))
    monkeypatch.setattr(module, "run", lambda args: states.append([e.about["state"] for e in told()]) or 0)

    def told() -> list:
        return [entry for entry in entries("audit") if "state" in entry.about]

    assert main([verb, *shlex.split(arguments)]) == 0
    assert states == [["begun"]]  # before anything is done
    assert [(e.act, e.about["verb"], e.about["state"]) for e in told()] == [(word, verb, "begun"), (word, verb, "done")]
    for entry in told():
        assert {name_hash("audit", str(house / path)) for path in read.split()} <= set(entry.about["of"])
        assert {name_hash("audit", str(house / path)) for path in made.split()} == set(entry.about["to"])


@pytest.mark.parametrize("verb", NOT_NOTED)
def test_who_is_not_listed_has_a_reason(verb):
    assert len(NOT_NOTED[verb]) > 20


def test_a_member_of_a_vault_is_named_with_its_vault(house, monkeypatch):
    """It is no file; who asks for the member or the vault finds the entry all the same."""
    from vesalius.privacy.keys import new_identity, recipient_of, write_secret
    from vesalius.privacy.vault import add, create_vault

    identity, _ = new_identity()
    write_secret("key", identity.text)
    vault = add(create_vault("v.vault", [recipient_of(identity)]), {"in/a.json": Path("a.json")})
    module = importlib.import_module(module_of("show"))
    seen = []
    monkeypatch.setattr(module, "run", lambda args: seen.append(Path(args.thing).read_text()) or 0)
    assert main(["show", "v.vault/in/a.json", "--key", "key"]) == 0
    assert seen == ["{}"]
    last = list(entries("audit"))[-1]
    for path in ("v.vault/in/a.json", "v.vault"):
        assert name_hash("audit", str(house / path)) in last.about["of"]
    assert last.about["generation"] == vault.generation
