"""A patient who withdrew can be neither indexed nor trained on, and the bundles concerned are named and marked."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from phantoms import ball_case, write_cases

from vesalius.bundle import Bundle
from vesalius.bundle.lineage import patients_of, withdrawn_from
from vesalius.cli import main
from vesalius.privacy.consent import open_register

PATIENTS = ("kowalski-1951", "meier-1960", "okafor-1974", "rossi-1982")


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """Eight pictures of four patients, under rules that name a register."""
    folder = write_cases(tmp_path / "data", [ball_case(n, shape=(32, 32)) for n in range(8)], ending=".tif")
    with (folder / "cases.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["case", "patient", "image", "reference"])
        for n in range(8):
            table.writerow([f"case{n}", PATIENTS[n // 2], f"images/case{n}.tif", f"labels/case{n}.tif"])
    (folder / "vesalius-privacy.toml").write_text('register = "consent.sqlite"\n')
    monkeypatch.chdir(folder)  # where `vesalius consent` finds the rules
    return folder


@pytest.fixture
def told(capsys):
    """Run a verb with ``--json``; returns what it tells."""

    def run(*arguments: object, code: int = 0) -> dict:
        capsys.readouterr()
        assert main([*map(str, arguments), "--json"]) == code, capsys.readouterr().err
        captured = capsys.readouterr()
        assert not [patient for patient in PATIENTS if patient in captured.err]
        return json.loads(captured.out)

    return run


def fit(data: Path, out: Path) -> list[object]:
    steps = ["--steps", 3, "--device", "cpu", "--set", "batch_size=2"]
    return ["fit", data, "-o", out, "--purpose", "training", *steps]


def test_from_consent_to_withdrawal(data, told, tmp_path, quick_plans, capsys):
    told("consent", "create")
    assert told("consent", "grant", *PATIENTS[:3], "--purpose", "training") == {"granted": 3}

    # Without a purpose nothing is indexed, planned or trained.
    for verb in (["index", data], ["plan", data], ["fit", data, "-o", tmp_path / "none"]):
        assert told(*verb, code=1)["error"]["type"] == "PrivacyError"
    assert not (tmp_path / "none").exists()

    # Who never agreed is left out before a file is read: this one could not be.
    (data / "images" / "case7.tif").write_bytes(b"not a picture")
    found = told("index", data, "--purpose", "training")
    assert {case["patient"] for case in found["cases"]} == set(PATIENTS[:3])
    reason = "there is no consent for the purpose training"
    assert found["left_out"] == [{"id": "case6", "reason": reason}, {"id": "case7", "reason": reason}]

    # The bundle knows who took part, by hashes.
    model = tmp_path / "model"
    told(*fit(data, model))
    register = open_register(str(data / "consent.sqlite"))
    hashes = {patient: register.hash_of(patient) for patient in PATIENTS}
    assert patients_of(Bundle.load(model).provenance, register.id) == {hashes[p] for p in PATIENTS[:3]}
    assert re.findall(r"case\d", (model / "bundle.json").read_text()) == []
    written = b"".join(path.read_bytes() for path in model.rglob("*") if path.is_file())
    assert [patient for patient in PATIENTS if patient.encode() in written] == []

    # A withdrawal names it and marks it, and a copy that nobody told the register of.
    copy = Bundle.load(model).save(tmp_path / "copies" / "model")
    gone = told("consent", "withdraw", PATIENTS[1], "--bundles", tmp_path / "copies")
    assert [(Path(row["bundle"]), row["marked"]) for row in gone["bundles"]] == [(model, True), (copy, True)]
    assert [withdrawn_from(Bundle.load(place).provenance) for place in (model, copy)] == [1, 1]
    assert told("consent", "withdraw", PATIENTS[3])["bundles"] == []
    capsys.readouterr()
    assert main(["show", str(model)]) == 0
    assert "withdrawn      1 of those who took part" in capsys.readouterr().out
    image = data / "images" / "case0.tif"
    assert main(["segment", str(image), "--bundle", str(model), "-o", str(tmp_path / "out.png")]) == 0
    assert "model: a patient who took part in its training has withdrawn consent" in capsys.readouterr().err

    # From now on the patient is neither indexed nor trained on.
    found = told("index", data, "--purpose", "training")
    assert {case["patient"] for case in found["cases"]} == {PATIENTS[0], PATIENTS[2]}
    assert {"id": "case2", "reason": "the consent was withdrawn for the purpose training"} in found["left_out"]
    told(*fit(data, tmp_path / "second"))
    second = Bundle.load(tmp_path / "second").provenance
    assert patients_of(second, register.id) == {hashes[PATIENTS[0]], hashes[PATIENTS[2]]}
    assert withdrawn_from(second) == 0

    # Once all have, there is nothing to train on.
    (tmp_path / "list.txt").write_text("\n".join(PATIENTS))
    rows = told("consent", "withdraw", "--patients", tmp_path / "list.txt")["bundles"]
    assert sorted((Path(row["bundle"]).name, row["patients"]) for row in rows) == [("model", 3), ("second", 2)]
    assert "no case can be used" in told(*fit(data, tmp_path / "third"), code=1)["error"]["message"]
    assert not (tmp_path / "third").exists()
    assert told("consent", "list") == {"purposes": {"training": {"withdrawn": 4}}}


def test_zips_and_exports_are_named_and_marked_too(data, told, tmp_path, quick_plans, capsys):
    told("consent", "create")
    told("consent", "grant", *PATIENTS, "--purpose", "training")
    model, gone = tmp_path / "model", tmp_path / "given-away"
    told(*fit(data, model))
    gone.mkdir()
    told("export", model, "--to", "torchscript", "-o", gone / "phone")
    for name, of in (("model", model), ("phone", gone / "phone")):
        shutil.make_archive(str(gone / "zips" / name), "zip", of)
    (gone / "damaged").mkdir()
    (gone / "damaged" / "bundle.json").write_text("{}")
    rows = told("consent", "withdraw", PATIENTS[1], "--bundles", gone)["bundles"]
    said = {Path(row["bundle"]).relative_to(tmp_path).as_posix(): (row["patients"], row["marked"]) for row in rows}
    marked = ["model", "given-away/phone", "given-away/zips/model.zip", "given-away/zips/phone.zip"]
    assert said == {**dict.fromkeys(marked, (1, True)), "given-away/damaged": (None, False)}
    for place in (gone / "zips" / "model.zip", model):
        assert withdrawn_from(Bundle.load(place).provenance) == 1
    written = (gone / "phone" / "vesalius.json").read_text()
    assert '"withdrawn"' in written
    assert [patient for patient in PATIENTS if patient in written] == []
    # One that lies alone can be named itself; what is no bundle is told, and the word that a person reads.
    rows = told("consent", "withdraw", PATIENTS[2], "--bundles", gone / "zips" / "phone.zip")["bundles"]
    assert [row["marked"] for row in rows] == [True, True]
    assert main(["consent", "withdraw", PATIENTS[3], "--bundles", str(gone / "damaged")]) == 0
    assert "not known who took part; damaged: there is no bundle" in capsys.readouterr().out
    # Who uses the zip is told, as with a folder.
    image = data / "images" / "case0.tif"
    zipped = gone / "zips" / "model.zip"
    assert main(["segment", str(image), "--bundle", str(zipped), "-o", str(tmp_path / "out.png")]) == 0
    assert "model.zip: a patient who took part in its training has withdrawn consent" in capsys.readouterr().err


def test_who_withdraws_while_it_is_trained_is_on_the_mark(data, told, tmp_path, quick_plans, monkeypatch):
    from vesalius.privacy.consent import withdraw
    from vesalius.train import fit as trained

    told("consent", "create")
    told("consent", "grant", *PATIENTS, "--purpose", "training")
    register = open_register(str(data / "consent.sqlite"))

    def meanwhile(*arguments: object, **how: object) -> Bundle:
        bundle = trained(*arguments, **how)  # type: ignore[arg-type]
        assert [Path(one.place) for one in withdraw(register, PATIENTS[:1])] == [tmp_path / "model"]
        return bundle

    monkeypatch.setattr("vesalius.train.fit", meanwhile)
    told(*fit(data, tmp_path / "model"))
    assert withdrawn_from(Bundle.load(tmp_path / "model").provenance) == 1


def test_a_training_that_was_killed_is_named_all_the_same(data, told, tmp_path, quick_plans, monkeypatch):
    def killed(*arguments: object, **how: object) -> None:
        raise KeyboardInterrupt

    told("consent", "create")
    told("consent", "grant", *PATIENTS, "--purpose", "training")
    monkeypatch.setattr("vesalius.train.fit", killed)
    told(*fit(data, tmp_path / "model"), code=1)
    rows = told("consent", "withdraw", PATIENTS[0])["bundles"]
    assert [(Path(row["bundle"]), row["marked"]) for row in rows] == [(tmp_path / "model", False)]


def test_a_register_can_be_named_and_is_asked_for_its_days(tmp_path, told, monkeypatch, quick_plans):
    monkeypatch.chdir(tmp_path)
    cases = (ball_case(n, shape=(32, 32)) for n in range(2))
    data = write_cases(tmp_path / "data", cases, ending=".tif")
    told("consent", "create", "--register", "c.sqlite", "--register-key", "c.key")
    how = ["--register", "c.sqlite", "--register-key", "c.key", "--purpose", "training"]
    told("consent", "grant", "case0", *how, "--until", "2999-12-31")
    told("consent", "grant", "case1", *how, "--from", "2999-01-01", "--until", "2999-12-31")
    found = told("index", data, *how)
    assert [case["id"] for case in found["cases"]] == ["case0"]
    reason = "the consent is not valid yet for the purpose training"
    assert found["left_out"] == [{"id": "case1", "reason": reason}]
    assert told("consent", "state", "case0", "case1", *how) == {"states": ["granted", "not yet valid"]}
    assert len(told("index", data)["cases"]) == 2  # nothing lies with these data
