"""Verbs that read members of a vault: as they read files, with nothing in plain on a disk."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_case, untrained_bundle, write_cases

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.cli.lent import READERS
from vesalius.image import Dataset
from vesalius.io import read, write
from vesalius.io.layouts import index
from vesalius.privacy.keys import new_identity, read_key, recipient_of, write_secret
from vesalius.privacy.vault import add, create_vault, member, open_vault
from vesalius.privacy.vault.changes import files_below
from vesalius.privacy.vault.plain import MEMORY

WORDS = "correct horse battery staple"
HERE = ("--device", "cpu", "--backend", "torch-float32")
LENT = str(MEMORY / "vesalius-lent-")

opened_to_write: list[list[str]] = []  # of those who look on


def note(event: str, arguments: tuple) -> None:
    if opened_to_write and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        path, mode, flags = os.fsdecode(arguments[0]), arguments[1], arguments[2] or 0
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or (mode or "r")[0] in "wax" or "+" in (mode or ""):
            opened_to_write[-1].append(str(Path(path).absolute()))


sys.addaudithook(note)  # never taken away again; it sees only while somebody looks on


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """The same data set in plain and in a vault, a key, and a segmenter that knows nothing."""
    place = tmp_path_factory.mktemp("house")
    cases = [ball_case(n) for n in range(4)]
    write_cases(place / "data", cases)
    identity, _ = new_identity()
    write_secret(place / "key", identity.text)
    vault = create_vault(place / "cohort.vault", [recipient_of(identity)])
    add(vault, files_below(place / "data"))
    untrained_bundle(index(place / "data"), patch_size=(16, 16, 16)).save(place / "model")
    return place


@pytest.fixture(autouse=True)
def nothing_left():
    """No loan outlives its verb."""
    before = set(MEMORY.glob("vesalius-lent-*"))
    yield
    assert set(MEMORY.glob("vesalius-lent-*")) <= before


def told(capsys, *arguments: object, code: int = 0) -> dict:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == code
    captured = capsys.readouterr()
    assert LENT not in captured.out + captured.err
    return json.loads(captured.out)


def of(place: Path, name: str) -> tuple[Path, Path]:
    return place / "data" / name, place / "cohort.vault" / "data" / name


IMAGE, LABELS = "images/case0.nii.gz", "labels/case0.nii.gz"


@pytest.mark.parametrize(
    ("verb", "name", "more"),
    [
        ("show", IMAGE, []),
        ("index", "", []),
        ("plan", "", ["--steps", "5", "--device", "cpu"]),
        ("measure", LABELS, ["--image"]),
        ("evaluate", "labels", ["labels"]),
        ("evaluate", "one=labels", ["two=labels", "--reference", "labels", "--metrics", "dice"]),
    ],
)
def test_a_vault_is_read_as_a_folder_is(house, tmp_path, capsys, quick_plans, verb, name, more):
    answers = []
    for place, key in ((house / "data", []), (house / "cohort.vault" / "data", ["--key", house / "key"])):
        first, sign, rest = name.rpartition("=")
        arguments = [f"{first}{sign}{place / rest}"]
        arguments += [f"{m[:4]}{place / m[4:]}" if m[:4] in ("one=", "two=") else m for m in more]
        arguments = [place / "labels" if a == "labels" else a for a in arguments]
        arguments += [place / IMAGE] if more[-1:] == ["--image"] else []
        found = told(capsys, verb, *arguments, *key)
        answers.append(json.dumps(found).replace(str(place), ""))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 60


def test_segmentations_and_conversions_are_the_same(house, tmp_path, capsys):
    model = house / "model"
    for number, image in enumerate(of(house, "images")):
        out = tmp_path / str(number)
        key = ["--key", house / "key"][: 2 * number]
        told(capsys, "segment", image, "--bundle", model, "-o", out, "--no-mirror", *HERE, *key)
        told(capsys, "convert", image / "case1.nii.gz", tmp_path / f"{number}.nrrd", *key)
    for name in ("case0", "case3"):
        plain, lent = (read(tmp_path / n / f"{name}.nii.gz").array for n in ("0", "1"))
        assert np.array_equal(plain, lent)
    assert (tmp_path / "0.nrrd").read_bytes() == (tmp_path / "1.nrrd").read_bytes()


def test_nothing_of_an_image_is_written_to_a_disk(house, tmp_path, capsys, monkeypatch, quick_plans):
    monkeypatch.setattr("vesalius.predict.scratch.IN_MEMORY_BYTES", 0)  # what is large goes to a temporary file
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    vault, key, model = house / "cohort.vault" / "data", house / "key", house / "model"
    opened_to_write.append(written := [])
    try:
        probabilities = ["--probabilities", "--no-mirror", *HERE]
        told(
            capsys,
            "segment",
            vault / IMAGE,
            "--bundle",
            model,
            "-o",
            tmp_path / "out.nii.gz",
            "--key",
            key,
            *probabilities,
        )
        trained = ["fit", vault, "-o", tmp_path / "made", "--steps", "2", "--device", "cpu", "--set", "batch_size=2"]
        told(capsys, *trained, "--set", "patch_size=16,16,16", "--key", key)
    finally:
        opened_to_write.clear()
    assert any(path.startswith(LENT) and "/prepared/" in path for path in written)
    assert any(path.startswith(LENT) and path.endswith("/scratch") for path in written)
    ours = (str(tmp_path / "made"), LENT, "/dev/null", "/proc/")
    outside = {path for path in written if not path.startswith(ours)}
    assert {
        path for path in outside if "__pycache__" not in path and not path.startswith(str(tmp_path / ".part-"))
    } == set()
    assert list((tmp_path / "temporary").iterdir()) == []
    # Nor is there anything of the voxels in what a training leaves, where it does put its own records.
    for n in range(4):
        image = ball_case(n).image.array[0]
        rows = [np.ascontiguousarray(image[k, k]).tobytes() for k in (0, 9, 20)]
        file = (house / "data" / "images" / f"case{n}.nii.gz").read_bytes()[40:80]
        for path in (tmp_path / "made").rglob("*"):
            held = path.read_bytes() if path.is_file() else b""
            assert not [row for row in (*rows, file) if row in held], path
    assert not list((tmp_path / "made").rglob("*.b2nd"))
    assert Bundle.load(tmp_path / "made").card.recipe


def test_results_can_go_into_the_vault(house, tmp_path, capsys):
    vault, key = tmp_path / "own.vault", house / "key"
    add(create_vault(vault, [recipient_of(read_key(key))]), files_below(house / "data" / "images"))
    segment = ["segment", vault / "images", "--bundle", house / "model", "-o", vault / "found", "--key", key]
    first = told(capsys, *segment, "--no-mirror", *HERE)
    assert first["images"][0]["output"] == str(vault / "found" / "case0.nii.gz")
    held = open_vault(vault, read_key(key)).members
    assert {f"found/case{n}.nii.gz" for n in range(4)} < set(held)
    assert not [path for path in vault.rglob("*") if path.is_file() and path.read_bytes()[:2] == b"\x1f\x8b"]
    # What is there is known, though it was unsealed anew: to go on costs nothing, and changes nothing.
    again = told(capsys, *segment, "--no-mirror", *HERE, "--resume")
    assert all(image["done_before"] for image in again["images"])
    assert dict(open_vault(vault, read_key(key)).members) == dict(held)
    told(capsys, "measure", vault / "found" / "case0.nii.gz", "-o", vault / "sizes.csv", "--key", key)
    seen = ["picture", vault / "images" / "case0.nii.gz", "--seg", vault / "found" / "case0.nii.gz"]
    told(capsys, *seen, "-o", vault / "seen.png", "--key", key)
    assert "seen.png" in open_vault(vault, read_key(key)).members
    manifest = told(capsys, "index", vault / "images", "--no-check", "--manifest", vault / "all.csv", "--key", key)
    listed = told(capsys, "index", vault / "all.csv", "--key", key)
    assert listed["cases"][0]["images"] == manifest["cases"][0]["images"] == [str(vault / "images" / "case0.nii.gz")]


def test_what_was_done_before_a_failure_is_kept(house, tmp_path, capsys):
    vault, key = tmp_path / "own.vault", house / "key"
    (tmp_path / "images").mkdir()
    write(ball_case(0).image, tmp_path / "images" / "a.nii.gz")
    (tmp_path / "images" / "b.nii.gz").write_bytes(b"no image")
    add(create_vault(vault, [recipient_of(read_key(key))]), files_below(tmp_path / "images"))
    images = [vault / "images" / name for name in ("a.nii.gz", "b.nii.gz")]
    how = ["--bundle", house / "model", "-o", vault / "out", "--no-mirror", *HERE, "--key", key]
    told(capsys, "segment", *images, *how, code=1)
    assert "out/a.nii.gz" in open_vault(vault, read_key(key)).members


def test_a_header_brings_its_voxels(house, tmp_path, capsys):
    image = ball_case(1).image
    (tmp_path / "pair").mkdir()
    for name in ("a.mhd", "b.nhdr", "c.hdr"):
        write(image, tmp_path / "pair" / name)
    vault = add(create_vault(tmp_path / "v", [recipient_of(read_key(house / "key"))]), files_below(tmp_path / "pair"))
    for name in ("a.mhd", "b.nhdr", "c.hdr"):
        assert told(capsys, "show", tmp_path / "v" / "pair" / name, "--key", house / "key")["shape"] == [24, 28, 20]
        assert np.array_equal(read(member(vault, f"pair/{name}")).array, image.array)


def test_a_passphrase_is_asked_for_once(house, tmp_path, capsys, monkeypatch):
    from vesalius.privacy.keys import Passphrase

    vault = add(create_vault(tmp_path / "v", [Passphrase(WORDS)]), files_below(house / "data"))
    assert len(vault.members) == 8
    asked = []
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or WORDS)
    told(capsys, "evaluate", tmp_path / "v" / "data" / "labels", tmp_path / "v" / "data" / "labels")
    assert asked == ["passphrase: "]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "V/images/nobody.nii.gz", "--key", "K"], "holds no member of this name"),
        (["show", "V/images/case0.nii.gz", "--key", "OTHER"], "this key opens none of its 1 locks"),
        (["show", "V/images/case0.nii.gz"], "there is nobody to ask for a passphrase: give --key FILE"),
        (["show", "DATA/images/case0.nii.gz", "--key", "K"], "no argument names a member"),
        (["fit", "V", "-o", "T/m", "--cache", "T/cache", "--key", "K"], "in plain in that folder: leave out --cache"),
        (["fit", "V", "-o", "T/m", "--folds", "2", "--key", "K"], "train a single network from a vault"),
        (["fit", "V", "-o", "T/m", "--configuration", "3d_cascade", "--key", "K"], "train a single network"),
        (["fit", "DATA", "-o", "V/m", "--key", "K"], "is not written into a vault"),
        (["index", "V", "--manifest", "T/m.csv", "--key", "K"], "write it into their vault"),
        (
            ["segment", "V/images", "--bundle", "M", "-o", "T/o", "--cluster", "auto", "--key", "K"],
            "on this machine only",
        ),
        (["classical", "otsu", "V/images/case0.nii.gz", "-o", "T/o.nii.gz"], "`vesalius classical` reads none"),
        (["deidentify", "V", "-o", "T/o"], "`vesalius deidentify` reads none"),
    ],
)
def test_mistakes_are_told(house, tmp_path, refused, arguments, words):
    names = {"V": house / "cohort.vault" / "data", "T": tmp_path, "DATA": house / "data", "M": house / "model"}
    write_secret(tmp_path / "other", new_identity()[0].text)
    names |= {"K": house / "key", "OTHER": tmp_path / "other"}
    said = [str(names[a]) if a in names else a for a in arguments]
    said = [str(names[a.partition("/")[0]] / a.partition("/")[2]) if a.partition("/")[0] in names else a for a in said]
    assert words in refused(*said)


def test_damage_is_told(house, tmp_path, refused):
    vault = add(create_vault(tmp_path / "v", [recipient_of(read_key(house / "key"))]), files_below(house / "data"))
    sealed = vault.path / "objects" / vault.members["data/images/case0.nii.gz"].stream
    raw = bytearray(sealed.read_bytes())
    raw[len(raw) // 2] ^= 1
    sealed.write_bytes(raw)
    assert "the member 1 of 8" in refused("show", tmp_path / "v" / "data" / IMAGE, "--key", house / "key")
    assert main(["show", str(tmp_path / "v" / "data" / "images" / "case1.nii.gz"), "--key", str(house / "key")]) == 0


def test_what_does_not_fit_into_memory_is_refused(house, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("vesalius.privacy.vault.plain.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert "does not fit into memory" in refused("show", of(house, IMAGE)[1], "--key", house / "key")


def test_rules_that_lie_with_a_vault_hold(house, tmp_path, capsys, refused):
    vault = tmp_path / "v"
    add(create_vault(vault, [recipient_of(read_key(house / "key"))]), files_below(house / "data"))
    register = str(tmp_path / "consent.sqlite")
    told(capsys, "consent", "create", "--register", register)
    told(capsys, "consent", "grant", "case0", "case1", "--purpose", "training", "--register", register)
    (tmp_path / "vesalius-privacy.toml").write_text('register = "consent.sqlite"\n')
    assert "say for which purpose" in refused("index", vault / "data", "--key", house / "key")
    found = told(capsys, "index", vault / "data", "--purpose", "training", "--key", house / "key")
    assert [case["id"] for case in found["cases"]] == ["case0", "case1"]
    # Sealed with the data, they would be forgotten.
    add(open_vault(vault, read_key(house / "key")), {"data/vesalius-privacy.toml": tmp_path / "vesalius-privacy.toml"})
    assert "lies inside the vault" in refused("index", vault / "data", "--key", house / "key")


def test_every_reader_is_tried_here():
    here = Path(__file__).read_text()
    assert not [verb for verb in READERS if f'"{verb}"' not in here]


def test_a_data_set_can_be_one_of_a_vault_in_python(house):
    with member(open_vault(house / "cohort.vault", read_key(house / "key")), "data").lent() as folder:
        dataset: Dataset = index(folder)
        assert len(dataset) == 4
