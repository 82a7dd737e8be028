"""`vesalius dicom-node`: what is refused before anything is asked, and what is told."""

import json
import socket
import subprocess
import sys
import time

import pytest

from vesalius.cli import main
from vesalius.server.store import Store

PEER = "PACS@127.0.0.1:1"


def complaint(capsys, *words):
    assert main(["dicom-node", *map(str, words)]) == 1
    shown = capsys.readouterr()
    assert "defect" not in shown.err
    assert shown.err.count("vesalius: error: ") == 1
    return shown.err.partition("vesalius: error: ")[2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("echo", "PACS"), "write TITLE@HOST:PORT"),
        (("echo", PEER), "cannot be reached"),
        (("echo", PEER, "--title", "A" * 17), "no AE title"),
        (("echo", PEER, "--tls-key", "x"), "go together"),
        (("find", PEER, "--key", "PatientsName"), "unknown keyword"),
        (("get", PEER, "--study", "../x", "-o", "store"), "StudyInstanceUID is none"),
        (("move", PEER, "--study", "1.2.3", "--instance", "1.2", "--to", "X"), "needs --series"),
        (("send", PEER, "none.dcm"), "none.dcm"),
        (("status", "."), "no store of a node"),
        (("serve", "store", "--host", "0.0.0.0"), "which addresses may"),
        (("serve", "store", "--host", "here"), "numbers here"),
        (("serve", "store", "--web-port", "1"), "DICOMweb asks roles"),
        (("serve", "store", "--max-pdu", "1"), "4 or more"),
        (("serve", "store", "--rules", "none.toml"), "cannot be read"),
    ],
)
def test_mistakes_are_named(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told in complaint(capsys, *words)
    assert [path.name for path in tmp_path.iterdir()] in ([], ["store"])


def test_a_port_that_is_taken_and_a_store_that_is_open_are_told(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "cannot listen" in complaint(capsys, "serve", tmp_path / "store", "--port", port)
    store = Store(tmp_path / "store")
    assert "another node" in complaint(capsys, "serve", tmp_path / "store", "--port", 0)
    store.close()


def test_a_node_from_start_to_end(tmp_path, capsys, ct_files):
    code = "from vesalius.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", code, "dicom-node", "serve", str(tmp_path / "store"), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as node:
        try:
            told = json.loads(node.stdout.readline())
            assert (told["ae_title"], told["host"]) == ("VESALIUS", "127.0.0.1")
            peer = f"VESALIUS@127.0.0.1:{told['port']}"
            assert main(["dicom-node", "echo", peer]) == 0
            assert main(["dicom-node", "send", peer, str(ct_files)]) == 0
            assert main(["dicom-node", "status", str(tmp_path / "store"), "--json"]) == 0
            out = capsys.readouterr().out
            assert "VESALIUS is there\n" in out
            assert "3 sent, 0 failed, 1 files left out: no DICOM objects\n" in out
            assert json.loads(out.splitlines()[-1])["objects"] == {"kept": 3}
        finally:
            time.sleep(0.1)
            node.terminate()
        assert node.wait(timeout=20) == 0
        assert node.stderr.read() == ""


@pytest.fixture
def ct_files(tmp_path):
    """Three slices of a CT, and a file that is none."""
    import numpy as np
    from hospital import write_ct

    from vesalius.image import Grid

    grid = Grid.from_spacing((8, 8, 3), (1.0, 1.0, 2.0))
    folder = write_ct(tmp_path / "ct", grid, np.zeros(grid.shape))
    (folder / "notes.txt").write_text("none")
    return folder
