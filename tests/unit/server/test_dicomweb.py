"""The DICOMweb server, asked by our client, by dicomweb-client, and by those who mean it no good."""

import base64
import json
import socket
import threading
from contextlib import closing, contextmanager

import httpx
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from guards import make_keys, serving

from vesalius.errors import FormatError, VesaliusError
from vesalius.server.dicomweb.client import Web, WebError, retrieve, search, store_files
from vesalius.server.store import Store

PART = b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n"
SECRET = "r" * 32


@pytest.fixture
def keys(tmp_path):
    return make_keys(tmp_path / "keys")


@pytest.fixture
def full(store, ct):
    for path in ct:
        store.add_file(path)
    return store


@pytest.fixture
def url(full, keys):
    with serving(full, keys.guard) as made:
        yield made


def post(url, body, token, *, path="/studies", **headers):
    said = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=x',
        "Authorization": f"Bearer {token}",
    }
    return httpx.post(url + path, content=body, headers=said | headers, timeout=30)


def test_there_and_back_byte_for_byte(tmp_path, store, keys, ct):
    with serving(store, keys.guard) as url, closing(Store(tmp_path / "copy")) as copy:
        web = Web(url, password=keys.writer)
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


def test_an_independent_client_finds_and_fetches(full, url, ct, keys):
    basic = base64.b64encode(f"anybody:{keys.reader}".encode()).decode()
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
    back = pydicom.Dataset.from_json(told[0], lambda _tag, _vr, uri: bytes(client.retrieve_bulkdata(uri)[0]))
    assert back.Rows == 10
    assert back.PixelData == fetched[str(back.SOPInstanceUID)].PixelData


def test_an_independent_client_stores(store, keys, ct):
    with serving(store, keys.guard) as url:
        client = DICOMwebClient(url, headers={"Authorization": f"Bearer {keys.writer}"})
        answer = client.store_instances([pydicom.dcmread(path) for path in ct])
    assert len(answer.ReferencedSOPSequence) == 5
    assert len(store.instances()) == 5


@pytest.mark.parametrize(
    ("asked", "found"),
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
def test_queries(url, keys, asked, found):
    assert len(search(Web(url, password=keys.reader), "studies", asked)) == found


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
def test_what_there_is_not(url, keys, path, status):
    answer = httpx.get(url + path, headers={"Authorization": f"Bearer {keys.reader}"})
    assert answer.status_code == status
    assert "CANARY" not in answer.text


def test_nothing_without_a_token(full, url, keys):
    study = full.instances()[0].study
    for path in ("/studies", f"/studies/{study}", f"/studies/{study}/metadata", "/instances"):
        for header in (
            {},
            {"Authorization": "Bearer no"},
            {"Authorization": "Basic !"},
            {"Authorization": f"Digest {keys.reader}"},
        ):
            answer = httpx.get(url + path, headers=header)
            assert answer.status_code == 401
            assert answer.content == b""
    assert post(url, b"", "no").status_code == 401
    assert post(url, b"", keys.reader).status_code == 403


def test_headers_keep_pages_of_others_out(url, keys):
    answer = httpx.get(
        url + "/studies", headers={"Authorization": f"Bearer {keys.reader}", "Origin": "https://evil.example"}
    )
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "server" not in answer.headers


def test_what_cannot_be_stored_is_told(store, keys, ct):
    good = ct[0].read_bytes()
    with serving(store, keys.guard, body_bytes=1 << 20, pause_s=0.5) as url:
        mixed = post(url, PART + good + PART + b"no DICOM" + b"\r\n--x--", keys.writer)
        assert mixed.status_code == 202
        told = json.loads(mixed.content)
        assert len(told["00081199"]["Value"]) == len(told["0008119A"]["Value"]) == 1
        assert post(url, PART + b"no DICOM" + b"\r\n--x--", keys.writer).status_code == 409
        assert post(url, PART + good + b"\r\n--x--", keys.writer, path="/studies/1.2.3").status_code == 409
        assert post(url, PART + good[:-10], keys.writer).status_code == 400
        assert post(url, b"--x--", keys.writer).status_code == 400
        assert post(url, b"", keys.writer, **{"Content-Type": "application/dicom"}).status_code == 415
        assert post(url, b"", keys.writer, **{"Content-Encoding": "gzip"}).status_code == 415
        assert post(url, PART + bytes(2 << 20), keys.writer).status_code == 413
        assert post(url, (bytes(1 << 16) for _ in range(100)), keys.writer).status_code == 413
        assert len(store.instances()) == 1
        assert not list((store.folder / "incoming").iterdir())


def test_a_body_that_never_comes_is_given_up(store, keys):
    with serving(store, keys.guard, pause_s=0.3) as url:
        port = int(url.rpartition(":")[2])
        head = f"POST /studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {keys.writer}\r\nContent-Length: 1000\r\n"
        head += 'Content-Type: multipart/related; type="application/dicom"; boundary=x\r\n\r\n'
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(head.encode())
            assert b"408" in line.recv(4096)


def test_a_password_is_not_shown():
    assert SECRET not in repr(Web("https://pacs.example/x", password=SECRET))


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
            yield Web(f"http://127.0.0.1:{server.getsockname()[1]}/dicom-web", password=SECRET, timeout_s=5.0), heard
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
