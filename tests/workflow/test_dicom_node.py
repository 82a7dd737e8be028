"""The node between a scanner and a PACS: Debian's Orthanc, on loopback, with users. All through the command line."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from guards import Keys, make_keys
from hospital import PATIENT, complaints, inconsistencies, phantom_hu, phantom_labels, write_ct
from node_killing import PROGRAM, serving
from orthanc import PASSWORD, USER, Orthanc, free_port, orthanc
from PIL import Image

from vesalius.cli import main
from vesalius.io import read
from vesalius.io.dicom.segments import read_seg
from vesalius.privacy.access import change_role
from vesalius.privacy.audit import account, study_hash
from vesalius.privacy.verify import verify
from vesalius.server.dicomweb.client import Web, retrieve, search, store_files
from vesalius.server.store import Store

_OCTETS = ("application/octet-stream",)
pytestmark = pytest.mark.xdist_group("dicom-node")
RULES = """
[peers.pacs]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
[[rules]]
name = "dense"
when = {{ Modality = "CT", BodyPartExamined = "chest" }}
segment = {{ method = "threshold", above = -100.0 }}
settle_s = 0.5
commit = true
send_to = ["pacs"]
"""


@dataclass(frozen=True)
class Hospital:
    """A PACS, a node that runs, and the files of a CT that the scanner made."""

    pacs: Orthanc
    port: int
    web: str
    store: Path
    ct: list[Path]
    keys: Keys

    def ask(self, action: str, *words: object) -> Any:
        """Run an action of the verb in a process of its own; returns what it tells."""
        peer = [f"ORTHANC@127.0.0.1:{self.pacs.port}"]
        done = subprocess.run(
            [*PROGRAM, action, *peer, *map(str, words), "--json"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    work = tmp_path_factory.mktemp("hospital")
    port, web = free_port(), free_port()
    labels = phantom_labels()
    ct = sorted(write_ct(work / "ct", labels.grid, phantom_hu(labels)).rglob("*.dcm"))
    keys = make_keys(work, titles={"ORTHANC": "writer", "SPY": "reader"})
    (work / "vesalius-privacy.toml").write_text('access = "access.json"\naudit = "audit"\n')
    # The account that runs the node needs a role, too.
    change_role(keys.access, account(), "annotator", granted=True)
    servers = {"node": {"Url": f"http://127.0.0.1:{web}/", "Username": "orthanc", "Password": keys.writer}}
    with orthanc(work / "orthanc", modalities={"VESALIUS": port}, servers=servers) as pacs:
        (work / "rules.toml").write_text(RULES.format(port=pacs.port))
        with serving(work / "store", work / "rules.toml", port, "--web-port", str(web)) as node:
            assert node.stdout is not None
            assert node.stdout.readline() == f"VESALIUS listens at 127.0.0.1:{port}\n"
            yield Hospital(pacs, port, f"http://127.0.0.1:{web}", work / "store", ct, keys)
            node.terminate()
            assert node.wait(timeout=20) == 0


def uids(files: list[Path]) -> dict[str, Path]:
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in files}


def data_set(path: Path | bytes) -> str:
    """A hash of all that comes after the file meta information."""
    data = path if isinstance(path, bytes) else path.read_bytes()
    length = int.from_bytes(data[140:144], "little")  # value of (0002,0000), which comes first
    return hashlib.sha256(data[144 + length :]).hexdigest()


def kept(hospital: Hospital) -> dict[str, Path]:
    return uids(sorted((hospital.store / "objects").rglob("*.dcm")))


def until(condition: Callable[[], bool], *, most_s: float = 60.0) -> None:
    end = time.monotonic() + most_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def test_a_ct_goes_through_the_pacs_to_the_node_and_seg_and_sr_come_back(hospital: Hospital) -> None:
    pacs, files = hospital.pacs, uids(hospital.ct)
    study = str(pydicom.dcmread(hospital.ct[0]).StudyInstanceUID)
    assert hospital.ask("echo") == {"peer": "ORTHANC", "there": True}

    # The scanner sends to the PACS (C-STORE), and the PACS has it byte for byte.
    assert hospital.ask("send", hospital.ct[0].parent) == {"sent": len(files), "failed": 0, "left_out": 0}
    keys = (f"StudyInstanceUID={study}", "Modality=C?", "SeriesNumber")
    words = [word for key in keys for word in ("--key", key)]
    (found,) = hospital.ask("find", "--level", "series", *words)["found"]
    assert (found["Modality"], found["SeriesNumber"]) == ("CT", "4")
    with pacs.client as client:
        for one in pacs.ask("/instances"):
            there = client.get(f"/instances/{one}/file").content
            assert data_set(there) == data_set(files[str(pydicom.dcmread(_stream(there)).SOPInstanceUID)])

    # The node has it sent to itself (C-MOVE): byte for byte, too.
    assert hospital.ask("move", "--study", study, "--to", "VESALIUS") == {
        "completed": len(files),
        "failed": 0,
        "warned": 0,
    }
    here = kept(hospital)
    assert {uid: data_set(path) for uid, path in here.items()} == {uid: data_set(p) for uid, p in files.items()}

    # The rule: segmented, measured, sent back, once, and answered for by the PACS.
    until(lambda: _deliveries(hospital) == {"committed": 2})
    results = sorted((hospital.store / "results").rglob("*.dcm"))
    assert [path.name for path in results] == ["0-segmentation.dcm", "1-report.dcm"]
    assert Counter(pacs.arrivals()) == Counter([*files, *uids(results)])
    segmentation, report = results
    assert np.array_equal(read_seg(segmentation).array > 0, read(hospital.ct[0].parent).array[0] >= -100)
    for path in results:
        assert complaints(path) == []
    assert [line for line in inconsistencies([*hospital.ct, *results]) if line.startswith("Error")] == []
    referred = pydicom.dcmread(report).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    named = {str(o.ReferencedSOPInstanceUID) for series in referred for o in series.ReferencedSOPSequence}
    assert set(uids([segmentation])) <= named

    # Nothing happens when everything is sent again.
    assert hospital.ask("move", "--study", study, "--to", "VESALIUS")["failed"] == 0
    time.sleep(1.5)
    assert _deliveries(hospital) == {"committed": 2}
    assert max(Counter(pacs.arrivals()).values()) == 1
    _noted(hospital, study)


def test_fetched_over_the_same_connection(hospital: Hospital, tmp_path: Path) -> None:
    study = str(pydicom.dcmread(hospital.ct[0]).StudyInstanceUID)
    series = str(pydicom.dcmread(hospital.ct[0]).SeriesInstanceUID)
    words = ("--study", study, "--series", series, "-o", tmp_path / "store")
    assert hospital.ask("get", *words) == {"completed": len(hospital.ct), "failed": 0, "warned": 0}
    found = uids(sorted((tmp_path / "store").rglob("*.dcm")))
    assert {uid: data_set(p) for uid, p in found.items()} == {u: data_set(p) for u, p in uids(hospital.ct).items()}


@contextmanager
def another_ct(tmp_path: Path) -> Iterator[list[Path]]:
    labels = phantom_labels()
    yield sorted(write_ct(tmp_path / "more", labels.grid, phantom_hu(labels), BodyPartExamined="HEAD").rglob("*.dcm"))


def test_dicomweb_to_the_pacs_and_back(hospital: Hospital, tmp_path: Path) -> None:
    web = Web(hospital.pacs.web + "/dicom-web", USER, PASSWORD)
    with another_ct(tmp_path) as files, closing(Store(tmp_path / "copy")) as copy:
        told = store_files(web, files)
        assert (set(told.kept), told.refused) == (set(uids(files)), 0)
        study = str(pydicom.dcmread(files[0]).StudyInstanceUID)
        (found,) = search(web, "studies", {"StudyInstanceUID": study})
        assert found["00100020"]["Value"] == ["CANARY-4711"]
        assert len(search(web, "instances", {}, study=study)) == len(files)
        assert retrieve(web, copy, study) == (len(files), 0)
        for uid, path in uids(files).items():
            (back,) = copy.instances(instance=uid)
            assert back.path.read_bytes() == path.read_bytes()
    for wrong in (Web(web.url), Web(web.url, USER, "wrong")):
        with pytest.raises(Exception, match="401"):
            search(wrong, "studies", {})


def test_dicomweb_from_the_pacs_and_back(hospital: Hospital, tmp_path: Path) -> None:
    pacs = hospital.pacs
    with another_ct(tmp_path) as files:
        study = str(pydicom.dcmread(files[0]).StudyInstanceUID)
        with pacs.client as client:
            for path in files:
                client.post("/instances", content=path.read_bytes()).raise_for_status()
        (one,) = pacs.post("/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": study}})
        # The PACS stores into the node (STOW), …
        pacs.post("/dicom-web/servers/node/stow", {"Resources": [one], "Synchronous": True})
        here = kept(hospital)
        for uid, path in uids(files).items():
            assert here[uid].read_bytes() == path.read_bytes()
        # … forgets, asks (QIDO), and fetches it again (WADO).
        with pacs.client as client:
            client.delete(f"/studies/{one}").raise_for_status()
        asked = {"Uri": "/studies", "Arguments": {"StudyInstanceUID": study}}
        (found,) = pacs.post("/dicom-web/servers/node/get", asked)
        assert found["0020000D"]["Value"] == [study]
        pacs.post("/dicom-web/servers/node/retrieve", {"Resources": [{"Study": study}], "Synchronous": True})
        (one,) = pacs.post("/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": study}})
        with pacs.client as client:
            for instance in pacs.ask(f"/studies/{one}/instances"):
                there = client.get(f"/instances/{instance['ID']}/file").content
                assert there == uids(files)[instance["MainDicomTags"]["SOPInstanceUID"]].read_bytes()
        _alike_to_clients(hospital, study, uids(files))
    assert httpx.get(f"{hospital.web}/studies").status_code == 401


def test_who_is_not_on_the_list_gets_nothing_and_the_errors_say_so(
    hospital: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dicom-node", "echo", f"VESALIUS@127.0.0.1:{hospital.port}", "--title", "STRANGER"]) == 1
    assert "refuses the association" in capsys.readouterr().err
    # Known, and without the permission to store: the association stands, the object is refused.
    peer = f"VESALIUS@127.0.0.1:{hospital.port}"
    assert main(["dicom-node", "echo", peer, "--title", "SPY"]) == 0
    assert main(["dicom-node", "send", peer, str(hospital.ct[0]), "--title", "SPY"]) == 1
    assert "status 0124" in capsys.readouterr().err
    assert main(["dicom-node", "status", str(hospital.store)]) == 0
    assert "kept" in capsys.readouterr().out


def _alike_to_clients(hospital: Hospital, study: str, files: dict[str, Path]) -> None:
    """An independent client has the same frames and headers of the node as of the PACS, and the node's pictures."""

    def client(url: str, user: str, password: str) -> DICOMwebClient:
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        return DICOMwebClient(url, headers={"Authorization": f"Basic {secret}"})

    ours = client(hospital.web, "anybody", hospital.keys.reader)
    theirs = client(f"{hospital.pacs.web}/dicom-web", USER, PASSWORD)
    for uid, path in list(files.items())[:2]:
        made = pydicom.dcmread(path)
        where = (study, str(made.SeriesInstanceUID), uid)
        frames = [one.retrieve_instance_frames(*where, [1], media_types=_OCTETS) for one in (ours, theirs)]
        assert frames == [[made.PixelData], [made.PixelData]]
        told = [one.retrieve_instance_metadata(*where) for one in (ours, theirs)]
        for tag in ("00080018", "00280010", "00280030", "00200032", "00200037", "00281053"):
            assert told[0][tag] == told[1][tag], tag
        picture = Image.open(BytesIO(ours.retrieve_instance_rendered(*where, media_types=("image/png",))))
        assert picture.size == (made.Columns, made.Rows)
    mine, others = (
        {one["00080018"]["Value"][0] for one in asked.search_for_instances(study)} for asked in (ours, theirs)
    )
    assert mine == others == set(files)


def _deliveries(hospital: Hospital) -> dict[str, int]:
    done = subprocess.run([*PROGRAM, "status", hospital.store, "--json"], capture_output=True, text=True, check=True)
    told: dict[str, int] = json.loads(done.stdout)["deliveries"]
    return told


def _stream(data: bytes) -> Any:
    return BytesIO(data)


def _noted(hospital: Hospital, study: str) -> None:
    """What was done is in the chain, which holds and names nobody."""
    chain = hospital.keys.chain
    assert verify(chain).broken is None
    told = [entry for entry in hospital.keys.noted() if study_hash(chain, study) in entry.about.get("of", ())]
    assert {(one.who, one.act, one.about["service"], one.about["state"]) for one in told} >= {
        ("writer", "stored", "C-STORE", "begun"),
        ("writer", "stored", "C-STORE", "done"),
        (account(), "segmented", "rule", "begun"),
        (account(), "segmented", "rule", "done"),
        (account(), "exported", "C-STORE", "begun"),
        (account(), "exported", "C-STORE", "done"),
    }
    whole = (chain / "chain.jsonl").read_text()
    assert study not in whole
    assert not [word for word in PATIENT[:3] if word in whole]
