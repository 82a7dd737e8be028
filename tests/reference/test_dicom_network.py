"""The node and DCMTK's programs understand each other, and what goes between them stays as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hospital import tool, write_ct
from orthanc import free_port

from vesalius.image import Grid
from vesalius.server.node.listen import Door, listening
from vesalius.server.node.peers import Caller, Peer, PeerError
from vesalius.server.node.query import echo
from vesalius.server.node.send import parcels_of, send
from vesalius.server.store import Store


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    grid = Grid.from_spacing((24, 20, 4), (0.7, 0.9, 3.0))
    hu = np.random.default_rng(3).integers(-1000, 1000, grid.shape)
    return sorted(write_ct(tmp_path_factory.mktemp("ct") / "ct", grid, hu).rglob("*.dcm"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[Store, int]]:
    with closing(Store(tmp_path / "store")) as store, listening(Door(port=0, callers=("FRIEND",)), store) as port:
        yield store, port


def run(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    # The program of DCMTK, not one of the same name that pynetdicom may bring.
    program = shutil.which(name, path=os.defpath) or tool(name)
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False, timeout=60)


def test_dcmtk_calls(node: tuple[Store, int], ct: list[Path]) -> None:
    store, port = node
    who = ("-aet", "FRIEND", "-aec", "VESALIUS", "127.0.0.1", port)
    assert run("echoscu", *who).returncode == 0
    assert run("echoscu", "-aet", "STRANGER", *who[2:]).returncode != 0
    assert run("echoscu", "-aet", "FRIEND", "-aec", "OTHER", *who[4:]).returncode != 0
    done = run("dcmsend", *who, *ct)
    assert done.returncode == 0, done.stderr
    assert len(store.instances()) == len(ct)
    for path in ct:
        original = pydicom.dcmread(path)
        (kept,) = store.instances(instance=str(original.SOPInstanceUID))
        assert pydicom.dcmread(kept.path) == original
    assert run("dcmsend", *who, *ct).returncode == 0  # again: the same objects
    for kept in store.instances():
        assert run("dcmftest", kept.path).stdout.startswith("yes")


def test_dcmtk_is_called(tmp_path: Path, ct: list[Path]) -> None:
    program = shutil.which("storescp", path=os.defpath) or tool("storescp")
    port, folder = free_port(), tmp_path / "received"
    folder.mkdir()
    words = [program, "-aet", "DCMTK", "--bit-preserving", "-od", str(folder), str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            peer = Peer("DCMTK", "127.0.0.1", port)
            for _ in range(100):
                try:
                    echo(peer, caller=Caller())
                    break
                except PeerError:
                    time.sleep(0.05)
            assert {one.fate for one in send(peer, parcels_of(ct)[0], caller=Caller())} == {"stored"}
        finally:
            running.kill()
    # Byte for byte: both begin with group 8, after preamble and meta group.
    start = b"\x08\x00\x05\x00" if b"\x08\x00\x05\x00" in ct[0].read_bytes() else b"\x08\x00\x08\x00"
    sent = {path.read_bytes().partition(start)[2] for path in ct}
    assert {path.read_bytes().partition(start)[2] for path in folder.iterdir()} == sent
    assert len(sent) == len(ct)
