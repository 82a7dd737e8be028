"""Attacks on the DICOMweb server: it answers with a status, keeps nothing that it should not, and goes on."""

import io
import socket
import threading
import time
from contextlib import closing

import httpx
import numpy as np
import pydicom
import pytest
from canaries import CANARIES
from dicoms import Maker
from guards import Kept, Keys, get, make_keys, serving
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless

from vesalius.server.store import Store

PART = b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n"
KIND = 'multipart/related; type="application/dicom"; boundary=x'


@pytest.fixture
def keys(tmp_path):
    return make_keys(tmp_path / "keys")


@pytest.fixture
def store(tmp_path):
    with closing(Store(tmp_path / "store", largest_object=1 << 20)) as made:
        yield made


@pytest.fixture
def kept(store, dicom):
    return Kept(store, dicom.write(dicom.image(np.zeros((4, 4), np.uint16))))


def post(url, keys, body, kind=KIND, **headers):
    said = {"Content-Type": kind, "Authorization": f"Bearer {keys.writer}"} | headers
    return httpx.post(f"{url}/studies", content=body, headers=said, timeout=30)


def alive(url, keys: Keys) -> bool:
    return get(url, keys, "/studies").status_code == 200


def listing(folder):
    return {path for path in folder.rglob("*") if path.is_file() and "audit" not in path.parts}


ESCAPES = (
    "%2e%2e",
    "../../x",
    "%2e%2e%2fx",
    "..%2f..%2fetc%2fpasswd",
    "/etc/x",
    "..\\x",
    "1.2.3%00",
    "1" * 65,
    "1..2",
    "*",
    "",
)


@pytest.mark.parametrize("uid", ESCAPES)
def test_identifiers_in_a_path_lead_nowhere(tmp_path, store, keys, kept, uid):
    before = listing(tmp_path)
    study, series = kept.one.study, kept.one.series
    with serving(store, keys.guard) as url:
        for path in (
            f"/studies/{uid}/metadata",
            f"/studies/{study}/series/{uid}/metadata",
            f"/studies/{study}/series/{series}/instances/{uid}/rendered",
            f"/studies/{study}/series/{series}/instances/{uid}/frames/1",
            f"{kept.path}/bulkdata/{uid}",
        ):
            answer = get(url, keys, path)
            assert answer.status_code in (400, 404), path
            assert not [word for word in (*CANARIES, "root:") if word in answer.text]
        assert alive(url, keys)
    assert {path for path in listing(tmp_path) - before if path.parent.name != "store"} == set()


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("uid", ["../../../x", "/etc/x", "1" * 70, "1.2\0.3"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")
def test_identifiers_in_an_object_lead_nowhere(tmp_path, store, keys, dicom, uid, keyword):
    made = dicom.image(np.zeros((4, 4), np.uint16))
    made[keyword]._value = uid
    made.save_as(held := io.BytesIO(), enforce_file_format=False)
    before = listing(tmp_path)
    with serving(store, keys.guard) as url:
        assert post(url, keys, PART + held.getvalue() + b"\r\n--x--").status_code == 409
        assert alive(url, keys)
    assert {path for path in listing(tmp_path) - before if path.suffix == ".dcm"} == set()
    assert store.instances() == ()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (PART + b"x" * 500, KIND, 400),  # it never ends
        (PART + b"x" * 500 + b"\r\n--y--", KIND, 400),  # another boundary
        (b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n", KIND, 400),  # headers without end
        (b"", KIND, 400),
        (b"--x--", KIND, 400),
        (PART * 50 + b"\r\n--x--", KIND, 409),  # empty parts
        (PART + b"x\r\n--x--", "multipart/related; boundary=", 400),
        (PART + b"x\r\n--x--", "multipart/related; boundary=" + "b" * 300, 400),
        (PART + b"x\r\n--x--", 'multipart/related; boundary="a\tb"', 400),
        (PART + b"x\r\n--x--", "multipart/related", 415),
        (PART + b"x\r\n--x--", "multipart/form-data; boundary=x", 415),
        (PART + b"x\r\n--x--", 'multipart/related; type="application/dicom+xml"; boundary=x', 415),
        (PART + bytes(2 << 20), KIND, 413),  # larger than objects may be
        (bytes(5 << 20), KIND, 413),  # larger than requests may be
        (PART + b"x" * (1 << 19) + PART + b"x" * (1 << 19) + b"\r\n--x--", KIND, 409),
    ],
)
def test_bodies_that_lie(store, keys, body, kind, status):
    with serving(store, keys.guard, body_bytes=4 << 20) as url:
        assert post(url, keys, body, kind).status_code == status
        assert alive(url, keys)
    assert store.instances() == ()
    assert not list((store.folder / "incoming").iterdir())


def spoken(url, text, *, wait_s=10.0):
    """What comes back for bytes as they are."""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=wait_s) as line:
        line.sendall(text)
        got = b""
        try:
            while part := line.recv(65536):
                got += part
        except ConnectionError:
            pass
        return got


def head_of(keys, length):
    return (
        f"POST /studies HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {keys.writer}\r\n"
        f"Content-Length: {length}\r\nContent-Type: {KIND}\r\n\r\n"
    ).encode()


def test_a_length_of_four_gigabytes_is_refused_before_a_byte_is_read(store, keys):
    with serving(store, keys.guard, body_bytes=1 << 20) as url:
        assert b" 413 " in spoken(url, head_of(keys, 4 << 30))
        assert alive(url, keys)


def test_a_body_that_trickles_ends_as_a_whole(store, keys):
    """Each byte comes in time, the whole does not."""
    with serving(store, keys.guard, pause_s=5.0, body_s=0.6) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(head_of(keys, 1000))
            stop = threading.Event()

            def trickle():
                try:
                    while not stop.wait(0.05):
                        line.sendall(b"-")
                except OSError:
                    pass

            thread = threading.Thread(target=trickle)
            thread.start()
            try:
                assert b" 408 " in line.recv(65536)
            finally:
                stop.set()
                thread.join()
        assert alive(url, keys)
    assert not list((store.folder / "incoming").iterdir())


def test_many_who_say_nothing_hold_nobody_up_for_good(store, keys):
    """More connections than the server takes at once: further requests are told so, until these are gone."""
    with serving(store, keys.guard) as url:
        port = int(url.rpartition(":")[2])
        lines = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(80)]
        try:
            for line in lines:
                line.sendall(b"GET /studies HTTP/1.1\r\nHost: x\r\n")
            assert get(url, keys, "/studies").status_code in (200, 503)
        finally:
            for line in lines:
                line.close()
        end = time.monotonic() + 20
        while not alive(url, keys):
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.parametrize(
    "lines",
    [
        b"GET /studies\r\nX: y HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /studies HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /studies HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /studies HTTP/1.1\r\nHost: x\r\nA" + b"a" * 70_000 + b": b\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_requests_that_are_none(store, keys, lines):
    with serving(store, keys.guard) as url:
        answer = spoken(url, lines, wait_s=30.0)
        assert b" 200 " not in answer.partition(b"\r\n")[0]
        assert alive(url, keys)


def test_nothing_that_is_sent_becomes_a_header(store, keys, kept):
    """Line breaks in what is echoed: the host, what is searched for, fields to include."""
    evil = "a%0d%0aSet-Cookie: b=c"
    with serving(store, keys.guard) as url:
        for path in (f"/studies?includefield={evil}", f"/studies?PatientName={evil}", f"/studies?{evil}=1"):
            answer = get(url, keys, path)
            assert "set-cookie" not in answer.headers
        for host in ("x\r\n y", "evil.example/path", "user@evil.example", "<script>", "a b"):
            text = f"GET {kept.path}/metadata HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            answer = spoken(url, f"{text}Authorization: Bearer {keys.reader}\r\n\r\n".encode())
            assert b" 400 " in answer.partition(b"\r\n")[0]
            assert b"evil" not in answer
        forwarded = get(url, keys, "/studies")
        assert forwarded.json()[0]["00081190"]["Value"][0].startswith(url)
        told = httpx.get(
            f"{url}/studies",
            headers={"Authorization": f"Bearer {keys.reader}", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "evil"},
        )
        assert "evil" not in told.text


def bomb(dicom: Maker, side: int, syntax, stream: bytes, **more):
    """A few bytes that declare many pixels."""
    made = dicom.image(np.zeros((2, 2), np.uint16), Rows=side, Columns=side, PixelData=encapsulate([stream]), **more)
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = syntax
    return dicom.write(made, f"bomb{side}.dcm")


def test_frames_that_would_burst_are_not_decoded(store, keys, dicom):
    """What a header declares is looked at before anything is decoded: 65,535 squared of 16 bits are 8 GiB."""
    stream = b"\xff\x4f\xff\x51" + bytes(200) + b"\xff\xd9"
    huge = Kept(store, bomb(dicom, 65_535, JPEG2000Lossless, stream))
    runs = Kept(store, bomb(dicom, 20_000, RLELossless, (b"\1" + bytes(3) + b"\x40" + bytes(59) + b"\x81\0" * 100)))
    with serving(store, keys.guard, frame_bytes=64 << 20, rendered_pixels=1 << 20) as url:
        for one in (huge, runs):
            for what in ("rendered", "thumbnail", "frames/1", "frames/1/rendered", "bulkdata/7FE00010"):
                accept = 'multipart/related; type="application/octet-stream"' if what == "frames/1" else None
                assert get(url, keys, f"{one.path}/{what}", accept).status_code in (400, 406, 413), what
        assert alive(url, keys)


def test_a_stream_that_is_larger_than_its_header_is_not_decoded(store, keys, dicom):
    """The header is small, the codestream in it is not."""
    size = (40_000).to_bytes(4, "big")
    stream = (
        b"\xff\x4f\xff\x51\x00\x29\x00\x00"
        + size * 2
        + bytes(8)
        + size * 2
        + bytes(8)
        + b"\x00\x01\x0f\x01\x01\xff\xd9"
    )
    kept = Kept(store, bomb(dicom, 64, JPEG2000Lossless, stream))
    with serving(store, keys.guard) as url:
        assert (
            get(url, keys, f"{kept.path}/frames/1", 'multipart/related; type="application/octet-stream"').status_code
            == 400
        )
        assert get(url, keys, f"{kept.path}/rendered").status_code == 400
        assert alive(url, keys)


def test_a_picture_is_not_blown_up_without_end(store, keys, kept):
    with serving(store, keys.guard) as url:
        assert get(url, keys, f"{kept.path}/rendered", viewport="8193,1").status_code == 400
        assert get(url, keys, f"{kept.path}/frames/{','.join(['1'] * 5000)}").status_code == 400
        assert get(url, keys, f"{kept.path}/frames/{','.join(['1'] * 200)}").content.count(b"octet-stream") == 200


def test_sequences_a_hundred_deep_in_a_header_end_in_an_answer(store, keys, dicom):
    inner = pydicom.Dataset()
    inner.ICCProfile = bytes(2000)
    for _ in range(100):
        outer = pydicom.Dataset()
        outer.ReferencedSeriesSequence = [inner]
        inner = outer
    made = dicom.image(np.zeros((4, 4), np.uint16), ReferencedSeriesSequence=[inner])
    kept = Kept(store, dicom.write(made))
    with serving(store, keys.guard) as url:
        (told,) = get(url, keys, f"{kept.path}/metadata").json()
        assert told["00080018"]["Value"] == [kept.one.uid]
        deep = "/".join(["00081115/1"] * 100)
        assert get(url, keys, f"{kept.path}/bulkdata/{deep}/00282000").status_code == 400


def test_objects_of_others_are_not_guessed(store, keys, kept, dicom):
    """An instance is had through its own study and series alone (IDOR), and not at all without the permission."""
    other = Kept(store, dicom.write(dicom.image(np.zeros((4, 4), np.uint16)), "other.dcm"))
    with serving(store, keys.guard) as url:
        crossed = f"/studies/{other.one.study}/series/{kept.one.series}/instances/{kept.one.uid}"
        for what in ("", "/metadata", "/frames/1", "/rendered", "/bulkdata/7FE00010"):
            assert get(url, keys, crossed + what).status_code == 404
            answer = httpx.get(url + kept.path + what, headers={"Authorization": f"Bearer {keys.scanner}"})
            assert (answer.status_code, answer.content) == (403, b"")
            assert httpx.get(url + kept.path + what).status_code == 401


def test_patterns_that_backtrack_end(store, keys, dicom):
    kept = Kept(store, dicom.write(dicom.image(np.zeros((4, 4), np.uint16), StudyDescription="a" * 64)))
    with serving(store, keys.guard) as url:
        found = get(url, keys, "/studies", StudyDescription="*a" * 400 + "b")
        assert found.json() == []
        assert len(get(url, keys, "/studies", StudyInstanceUID=kept.one.study, StudyDescription="*a*").json()) == 1
        assert get(url, keys, "/studies", StudyInstanceUID="1.2,' OR 1=1 --").status_code == 400


def test_what_is_refused_names_nobody(store, keys, kept, caplog, capfd):
    with serving(store, keys.guard) as url:
        for path in (
            f"{kept.path}/frames/9",
            "/studies/1.2.3",
            "/studies?PatientName=DOE^JANE",
            f"{kept.path}/bulkdata/00100010",
        ):
            get(url, keys, path)
        answer = httpx.get(f"{url}/studies?Nonsense=DOE^JANE", headers={"Authorization": f"Bearer {keys.reader}"})
        assert "JANE" not in answer.text
    assert "JANE" not in caplog.text + "".join(capfd.readouterr())
