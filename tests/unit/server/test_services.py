"""QIDO-RS and STOW-RS as the standard has them, and pages of other origins."""

import io
import json

import httpx
import numpy as np
import pydicom
import pytest
from guards import get, serving

from vesalius.errors import FormatError

_RNG = np.random.default_rng(4)


def test_answers_say_where_things_are_and_what_was_not_done(url, keys, ct, store):
    for path in ct:
        store.add_file(path)
    one = store.instances()[0]
    answer = get(url, keys, "/studies", fuzzymatching="true", includefield="00081030,PatientName")
    assert "fuzzymatching parameter is not supported" in answer.headers["warning"]
    (told,) = answer.json()
    assert told["00081190"]["Value"] == [f"{url}/studies/{one.study}"]
    assert told["00080005"]["Value"] == ["ISO_IR 192"]
    assert told["00081030"]["Value"] == ["Thorax"]
    (series,) = get(url, keys, f"/studies/{one.study}/series").json()
    assert series["00081190"]["Value"] == [f"{url}/studies/{one.study}/series/{one.series}"]
    assert "warning" not in get(url, keys, "/studies", includefield="all").headers
    assert "not in the index" in get(url, keys, "/studies", includefield="PatientWeight").headers["warning"]
    for wrong in ({"includefield": "Nonsense"}, {"fuzzymatching": "maybe"}, {"StudyInstanceUID": "x"}):
        assert get(url, keys, "/studies", **wrong).status_code == 400
    twice = get(url, keys, f"/studies/{one.study}/instances", StudyInstanceUID="1.2.3")
    assert twice.status_code == 400
    assert get(url, keys, "/studies", "text/html").status_code == 406


def test_pages_cover_everything_once(url, keys, ct, store):
    for path in ct:
        store.add_file(path)
    for more in ({}, {"Rows": "10"}):  # counted by the index, and by looking at headers
        found, offset = [], 0
        while True:
            answer = get(url, keys, "/instances", limit="2", offset=str(offset), **more)
            found += [one["00080018"]["Value"][0] for one in answer.json()]
            offset += 2
            if "warning" not in answer.headers:
                break
            assert "additional results" in answer.headers["warning"]
        assert found == sorted(one.uid for one in store.instances())


def test_pages_of_other_origins_only_where_that_is_configured(store, keys):
    with serving(store, keys.guard, origins=["https://viewer.example"]) as url:
        for origin, allowed in (("https://viewer.example", True), ("https://evil.example", False), ("null", False)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            asked["Access-Control-Request-Headers"] = "authorization"
            before = httpx.options(f"{url}/studies", headers=asked)
            answer = httpx.get(f"{url}/studies", headers={"Origin": origin, "Authorization": f"Bearer {keys.reader}"})
            for one in (before, answer):
                assert (one.headers.get("access-control-allow-origin") == origin) is allowed
            assert (before.status_code == 200) is allowed
        assert httpx.get(f"{url}/studies", headers={"Origin": "https://viewer.example"}).status_code == 401
    for wrong in ("*", "https://viewer.example/", "viewer.example", "ftp://x", "https://x/y", "https://a b"):
        with pytest.raises(FormatError), serving(store, keys.guard, origins=[wrong]):
            pass


def test_what_was_stored_is_answered_as_the_standard_has_it(url, keys, store, ct):
    def part(made):
        made.save_as(held := io.BytesIO())
        return b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n" + held.getvalue()

    good, other = pydicom.dcmread(ct[0]), pydicom.dcmread(ct[1])
    store.add_file(ct[1])
    other.PatientSex = "F"
    body = part(good) + part(other) + b"\r\n--x\r\n\r\nnone\r\n--x--"
    headers = {"Content-Type": "multipart/related; boundary=x", "Authorization": f"Bearer {keys.writer}"}
    answer = httpx.post(f"{url}/studies", content=body, headers=headers)
    assert answer.status_code == 202
    told = pydicom.Dataset.from_json(json.dumps(answer.json()))
    (kept,), (failed,), (neither,) = told.ReferencedSOPSequence, told.FailedSOPSequence, told.OtherFailuresSequence
    assert (kept.ReferencedSOPInstanceUID, kept.ReferencedSOPClassUID) == (good.SOPInstanceUID, good.SOPClassUID)
    assert kept.RetrieveURL.startswith(f"{url}/studies/{good.StudyInstanceUID}/series/")
    assert told.RetrieveURL == f"{url}/studies/{good.StudyInstanceUID}"
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (other.SOPInstanceUID, 0x0111)
    assert neither.FailureReason == 0xC000
    wrong = httpx.post(f"{url}/studies/1.2.3", content=part(good) + b"\r\n--x--", headers=headers)
    assert wrong.status_code == 409
    assert pydicom.Dataset.from_json(wrong.text).FailedSOPSequence[0].FailureReason == 0xA900
