"""The DICOMweb server, asked by our client, by dicomweb-client, and by those who mean it no good."""

import base64
import json
import socket
import threading
import time
from contextlib import closing, contextmanager

import httpx
import pydicom
import pytest
import uvicorn
from dicomweb_client.api import DICOMwebClient

from vesalius.errors import FormatError, VesaliusError
from vesalius.server.dicomweb.app import Bounds, create_app, settings_of
from vesalius.server.dicomweb.client import Web, WebError, retrieve, search, store_files
from vesalius.server.dicomweb.tokens import read_tokens
from vesalius.server.store import Store

READER, WRITER = "r" * 32, "w" * 32
PART = b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n"


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# ours\nread {READER}\n\nwrite {WRITER}\n")
    path.chmod(0o600)
    return read_tokens(path)


@contextmanager
def serving(store, tokens, **bounds):
    """The server as it runs in earnest, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    app = create_app(store, tokens, bounds=Bounds(**bounds))
    server = uvicorn.Server(settings_of(app, "127.0.0.1", port, {}))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def full(store, ct):
    for path in ct:
        store.add_file(path)
    return store


@pytest.fixture
def url(full, tokens):
    with serving(full, tokens) as made:
        yield made


def post(url, body, *, path="/studies", token=WRITER, **headers):
    said = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=x',
        "Authorization": f"Bearer {token}",
    }
    return httpx.post(url + path, content=body, headers=said | headers, timeout=30)


def test_there_and_back_byte_for_byte(tmp_path, store, tokens, ct):
    with serving(store, tokens) as url, closing(Store(tmp_path / "copy")) as copy:
        web = Web(url, password=WRITER)
        told = store_files(web, ct)
        assert told.refused == 0
        assert sorted(told.kept) == sorted(str(pydicom.dcmread(path).SOPInstanceUID) for path in ct)
        (study,) = search(web, "studies", {})
        uid = study["0020000D"]["Value"][0]
        assert retrieve(web, copy, uid) == (5, 0)
        for path in ct:
            (kept,) = copy.instances(instance=str(pydicom.dcmread(path).SOPInstanceUID))
            assert kept.path.read_bytes() == path.read_bytes()
        one = kept
        assert retrieve(web, copy, one.study, one.series, one.uid) == (1, 0)


def test_an_independent_client_finds_and_fetches(full, url, ct):
    basic = base64.b64encode(f"anybody:{READER}".encode()).decode()
    client = DICOMwebClient(url, headers={"Authorization": f"Basic {basic}"})
    (study,) = client.search_for_studies(search_filters={"PatientName": "canary*"})
    uid = study["0020000D"]["Value"][0]
    assert study["00201208"]["Value"] == [5]
    assert study["00080061"]["Value"] == ["CT"]
    (series,) = client.search_for_series(uid)
    assert series["00201209"]["Value"] == [5]
    instances = client.search_for_instances(uid, series["0020000E"]["Value"][0], limit=3, offset=1)
    assert len(instances) == 3
    fetched = {str(one.SOPInstanceUID): one for one in client.retrieve_study(uid)}
    for path in ct:
        original = pydicom.dcmread(path)
        assert fetched[str(original.SOPInstanceUID)] == original
    told = client.retrieve_study_metadata(uid)
    assert len(told) == 5
    assert pydicom.Dataset.from_json(told[0]).Rows == 10


def test_an_independent_client_stores(store, tokens, ct):
    with serving(store, tokens) as url:
        client = DICOMwebClient(url, headers={"Authorization": f"Bearer {WRITER}"})
        answer = client.store_instances([pydicom.dcmread(path) for path in ct])
    assert len(answer.ReferencedSOPSequence) == 5
    assert len(store.instances()) == 5


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"PatientName": "CANARY^PHANTOM"}, 1),
        ({"PatientName": "canary^ph?ntom"}, 1),
        ({"PatientName": "CANARY^OTHER"}, 0),
        ({"PatientName": "[C]ANARY*"}, 0),
        ({"PatientID": "canary-4711"}, 0),
        ({"StudyDate": "20260101-20260203"}, 1),
        ({"StudyDate": "20260204-"}, 0),
        ({"StudyDate": "-20260203"}, 1),
        ({"StudyDate": "20260203"}, 1),
        ({"ModalitiesInStudy": "CT"}, 1),
        ({"ModalitiesInStudy": "MR"}, 0),
        ({"00080020": "20260203", "includefield": "all", "fuzzymatching": "false"}, 1),
        ({"StudyInstanceUID": "1.2.3,1.2.4"}, 0),
        ({"limit": "0"}, 0),
        ({"offset": "1"}, 0),
    ],
)
def test_queries(url, keys, found):
    assert len(search(Web(url, password=READER), "studies", keys)) == found


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies?limit=x", 400),
        ("/studies?Nonsense=1", 400),
        ("/studies?SeriesDescription=x", 400),
        ("/studies?StudyInstanceUID=1.2' OR 1", 400),
        ("/studies/1.2.3", 404),
        ("/studies/..%2f..%2fetc", 404),
        ("/studies/..%5c..", 400),
        ("/studies/1.2.3%00", 400),
        ("/studies/" + "1" * 65, 400),
        ("/studies/1.2.3/metadata", 404),
        ("/etc/passwd", 404),
        ("/", 404),
    ],
)
def test_what_there_is_not(url, path, status):
    answer = httpx.get(url + path, headers={"Authorization": f"Bearer {READER}"})
    assert answer.status_code == status
    assert "CANARY" not in answer.text


def test_nothing_without_a_token(full, url):
    study = full.instances()[0].study
    for path in ("/studies", f"/studies/{study}", f"/studies/{study}/metadata", "/instances"):
        for header in (
            {},
            {"Authorization": "Bearer no"},
            {"Authorization": "Basic !"},
            {"Authorization": f"Digest {READER}"},
        ):
            answer = httpx.get(url + path, headers=header)
            assert answer.status_code == 401
            assert answer.content == b""
    assert post(url, b"", token="no").status_code == 401
    assert post(url, b"", token=READER).status_code == 403


def test_headers_keep_pages_of_others_out(url):
    answer = httpx.get(
        url + "/studies", headers={"Authorization": f"Bearer {READER}", "Origin": "https://evil.example"}
    )
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "server" not in answer.headers


def test_what_cannot_be_stored_is_told(store, tokens, ct, tmp_path):
    good = ct[0].read_bytes()
    with serving(store, tokens, body_bytes=1 << 20, pause_s=0.5) as url:
        mixed = post(url, PART + good + PART + b"no DICOM" + b"\r\n--x--")
        assert mixed.status_code == 202
        told = json.loads(mixed.content)
        assert len(told["00081199"]["Value"]) == len(told["00081198"]["Value"]) == 1
        assert post(url, PART + b"no DICOM" + b"\r\n--x--").status_code == 409
        assert post(url, PART + good + b"\r\n--x--", path="/studies/1.2.3").status_code == 409
        assert post(url, PART + good[:-10]).status_code == 400
        assert post(url, b"--x--").status_code == 400
        assert post(url, b"", **{"Content-Type": "application/dicom"}).status_code == 415
        assert post(url, b"", **{"Content-Encoding": "gzip"}).status_code == 415
        assert post(url, PART + bytes(2 << 20)).status_code == 413
        assert post(url, (bytes(1 << 16) for _ in range(100))).status_code == 413
        assert len(store.instances()) == 1
        assert not list((store.folder / "incoming").iterdir())


def test_a_body_that_never_comes_is_given_up(store, tokens):
    with serving(store, tokens, pause_s=0.3) as url:
        port = int(url.rpartition(":")[2])
        head = f"POST /studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITER}\r\nContent-Length: 1000\r\n"
        head += 'Content-Type: multipart/related; type="application/dicom"; boundary=x\r\n\r\n'
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(head.encode())
            assert b"408" in line.recv(4096)


def test_tokens_are_looked_after(tmp_path):
    path = tmp_path / "tokens"
    for text, mode, words in (
        (f"read {READER}", 0o644, "chmod 600"),
        ("read short", 0o600, "24 characters"),
        (f"rule {READER}", 0o600, "24 characters"),
        ("# none", 0o600, "no token"),
    ):
        path.write_text(text)
        path.chmod(mode)
        with pytest.raises(VesaliusError, match=words):
            read_tokens(path)
    with pytest.raises(VesaliusError, match="cannot be read"):
        read_tokens(tmp_path / "none")
    path.write_text(f"read {READER}")
    assert READER not in repr(read_tokens(path))
    assert READER not in repr(Web("https://pacs.example/x", password=READER))


@pytest.mark.parametrize(
    "url",
    ["ftp://x/y", "http://pacs.example/x", "https://", "https://u:p@x/y", "https://x:99999/y", "file:///etc", "x"],
)
def test_secrets_do_not_go_over_the_network_readable(url):
    with pytest.raises(VesaliusError):
        Web(url, password="p")


@contextmanager
def answering(data):
    """A server that answers every connection with the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        heard = []

        def run():
            line, _ = server.accept()
            with line:
                heard.append(line.recv(65536))
                line.sendall(data)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield Web(f"http://127.0.0.1:{server.getsockname()[1]}/dicom-web", password=READER, timeout_s=5.0), heard
        finally:
            thread.join()


def http(body, *headers, status="200 OK"):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(
    "data",
    [
        http(b"{", "Content-Type: application/dicom+json"),
        http(b'{"a": 1}'),
        http(b"[1]"),
        http(b"[" * 200_000),
        http(b"", "Content-Encoding: gzip"),
        http(b"", "Location: https://evil.example/", status="302 Found"),
        http(b"", status="500 Oops"),
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_a_server_that_answers_nonsense_is_left(data):
    with answering(data) as (web, heard), pytest.raises(WebError):
        search(web, "studies", {})
    assert len(heard) == 1  # and nobody else was asked, with the token


def test_objects_from_a_hostile_server_are_looked_at(store, ct, tmp_path):
    made = pydicom.dcmread(ct[0])
    study = str(made.StudyInstanceUID)
    body = PART + ct[0].read_bytes() + PART + b"\x00" * 500 + PART + ct[1].read_bytes() + b"\r\n--x--"
    kind = 'Content-Type: multipart/related; type="application/dicom"; boundary=x'
    with answering(http(body, kind)) as (web, _):
        assert retrieve(web, store, study) == (2, 1)
    with answering(http(body, kind)) as (web, _):
        assert retrieve(web, store, "1.2.3") == (0, 3)  # of another study than asked for
    with answering(http(body[:-9], kind)) as (web, _), pytest.raises(FormatError, match="cut off"):
        retrieve(web, store, study)
    with answering(http(b"x", "Content-Type: text/html")) as (web, _), pytest.raises(WebError):
        retrieve(web, store, study)
