"""What somebody made to do harm: each is refused with a `BundleError`, nothing is run and nothing written."""

import hashlib
import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.bundle.tensors import LARGEST_HEADER, weights_from_bytes
from vesalius.errors import BundleError
from vesalius.predict import load_segmenter


@pytest.fixture(scope="module")
def made() -> Bundle:
    return untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))


@pytest.fixture
def saved(made: Bundle, tmp_path: Path) -> Path:
    return made.save(tmp_path / "saved")


def packed(saved: Path, *more: str) -> Path:
    place = saved.parent / "packed.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for name in more:
            archive.writestr(name, "out")
        for part in ("bundle.json", "weights.safetensors"):
            archive.write(saved / part, part)
    return place


def with_weights(saved: Path, raw: bytes) -> Path:
    """Weights whose checksum the description confirms: only what is inside can give them away."""
    text = json.loads((saved / "bundle.json").read_text())
    text["members"][0]["sha256"] = hashlib.sha256(raw).hexdigest()
    (saved / "bundle.json").write_text(json.dumps(text))
    (saved / "weights.safetensors").write_bytes(raw)
    return saved


def header(text: bytes, claimed: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if claimed is None else claimed) + text


def load_refused(place: Path, words: str) -> None:
    files = {path: path.read_bytes() for path in place.parent.rglob("*") if path.is_file()}
    with pytest.raises(BundleError, match=words):
        Bundle.load(place)
    assert {path: path.read_bytes() for path in place.parent.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.txt",
        "../../escaped.txt",
        "weights/../../escaped.txt",
        "/tmp/escaped.txt",
        "..\\escaped.txt",
        "\\escaped.txt",
        "C:\\escaped.txt",
        "c:/escaped.txt",
        "../bundle.json",
        "..",
    ],
)
def test_a_zip_that_leads_out_of_itself(name, saved):
    load_refused(packed(saved, name), r"packed\.zip: the archive holds a file whose name leads out of it")


@pytest.mark.parametrize("name", ["notes..txt", "pictures/a..b.png", "..hidden", "curves.png", "C/readme"])
def test_other_files_beside_a_bundle_do_no_harm(name, saved, made):
    assert Bundle.load(packed(saved, name)).plan == made.plan


def test_a_pickle_in_the_place_of_weights(saved, tmp_path):
    """One that would write a file as soon as somebody unpickled it."""
    raw = f"cos\nsystem\n(S'touch {tmp_path / 'run'}'\ntR.".encode()
    load_refused(with_weights(saved, raw), "is not a safetensors file")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (header(b"{}", claimed=(1 << 64) - 1), "is not a safetensors file"),
        (header(b"{}", claimed=1_000_000), "is not a safetensors file"),
        (header(b" " * 5_000_000), "begins with a list of 5,000,000 bytes; at most 4,194,304 are read"),
        (header(b'{"a":' * 500_000), "is not a safetensors file"),
        (b"\x02", "is not a safetensors file"),
        (b"", "is not a safetensors file"),
    ],
    ids=["all bits", "longer than the file", "long", "deep", "a byte", "empty"],
)
def test_a_header_that_claims_too_much(raw, words, saved):
    load_refused(with_weights(saved, raw), words)


def test_a_header_bomb_costs_no_memory():
    """A hundred thousand tensors of nothing, in a file of 6 MB: parsed, they would take twenty times as much."""
    one = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    bomb = header(json.dumps({f"t{n}": one for n in range(100_000)}).encode())
    assert len(bomb) > LARGEST_HEADER
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match="begins with a list of"):
            weights_from_bytes(bomb, "weights.safetensors")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_tensor_that_claims_more_than_the_file_holds(saved):
    one = {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 1 << 42]}
    load_refused(with_weights(saved, header(json.dumps({"a": one}).encode())), "is not a safetensors file")


def test_weights_of_another_bundle(made, saved, tmp_path):
    other = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16), seed=9).save(tmp_path / "other")
    (saved / "weights.safetensors").write_bytes((other / "weights.safetensors").read_bytes())
    load_refused(saved, r"weights\.safetensors are damaged or not this bundle's \(their checksum differs\)")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in this file system")
@pytest.mark.parametrize("part", ["weights.safetensors", "bundle.json"])
def test_what_never_ends_is_not_read(part, saved):
    (saved / part).unlink()
    os.mkfifo(saved / part)
    with pytest.raises(BundleError, match=r"is not a file|there is no bundle\.json"):
        Bundle.load(saved)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless device here")
def test_a_link_to_a_device_is_not_read(saved):
    (saved / "weights.safetensors").unlink()
    (saved / "weights.safetensors").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="is not a file"):
        Bundle.load(saved)


def test_a_plan_that_describes_a_network_of_terabytes(saved):
    """The weights are looked at first: nothing of that size is asked for."""
    text = json.loads((saved / "bundle.json").read_text())
    text["plan"]["network"]["features"] = [400_000] * 3
    (saved / "bundle.json").write_text(json.dumps(text))
    with pytest.raises(BundleError, match="do not belong to the network that the plan describes"):
        load_segmenter(saved, device="cpu")
