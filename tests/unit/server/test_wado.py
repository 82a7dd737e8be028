"""WADO-RS and QIDO-RS in full: frames, pictures, bulk data, what is accepted; dicomweb-client asks, and httpx."""

import numpy as np
import pydicom
import pytest
from guards import Kept, get
from pydicom.encaps import generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    RLELossless,
    SegmentationStorage,
)

from vesalius.server.dicomweb.accepting import Range, ranges_of

OCTETS = 'multipart/related; type="application/octet-stream"'
_RNG = np.random.default_rng(4)


def compressed(make, store, pixels, syntax, name="packed.dcm"):
    made = make.image(pixels, storage=MultiFrameGrayscaleByteSecondaryCaptureImageStorage)
    made.compress(syntax, generate_instance_uid=False)
    return Kept(store, make.write(made, name))


def test_frames_come_as_they_were_and_in_the_order_asked_for(client, five):
    kept, pixels = five
    frames = client.retrieve_instance_frames(*kept.uids, [3, 1, 3])
    assert [np.frombuffer(one, "<u2").reshape(6, 8).tolist() for one in frames] == [
        pixels[at].tolist() for at in (2, 0, 2)
    ]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_frames_as_they_are_kept_and_uncompressed(client, url, keys, store, make, syntax):
    pixels = _RNG.integers(0, 4096, (4, 64, 72)).astype(np.uint16)
    kept = compressed(make, store, pixels, syntax)
    streams = list(generate_frames(kept.made.PixelData, number_of_frames=4))
    anything = client.retrieve_instance_frames(*kept.uids, [2, 4])
    assert anything == [streams[1], streams[3]]
    kinds = {RLELossless: "image/dicom-rle", JPEG2000Lossless: "image/jp2", JPEGLSLossless: "image/jls"}
    answer = get(url, keys, f"{kept.path}/frames/2", f'multipart/related; type="{kinds[syntax]}"')
    assert f"Content-Type: {kinds[syntax]}; transfer-syntax={syntax}\r\n".encode() in answer.content
    plain = client.retrieve_instance_frames(*kept.uids, [4, 2], media_types=("application/octet-stream",))
    assert [np.frombuffer(one, "<u2").reshape(64, 72).tolist() for one in plain] == [
        pixels[3].tolist(),
        pixels[1].tolist(),
    ]
    asked = client.retrieve_instance_frames(*kept.uids, [1], media_types=(("application/octet-stream", "*"),))
    assert asked == [streams[0]]  # as OHIF asks


def test_one_frame_by_itself(url, keys, five):
    kept, pixels = five
    answer = get(url, keys, f"{kept.path}/frames/2", "application/octet-stream")
    assert answer.headers["content-type"] == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert answer.content == pixels[1].tobytes()


def test_bits_are_packed_anew_for_each_frame(client, store, make):
    bits = _RNG.integers(0, 2, (3, 5, 7)).astype(np.uint8)  # 35 bits: frames do not begin with bytes
    made = make.image(
        bits,
        storage=SegmentationStorage,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelData=np.packbits(bits, bitorder="little").tobytes() + b"",
    )
    made.PixelData += b"\0" * (len(made.PixelData) % 2)
    kept = Kept(store, make.write(made, "bits.dcm"))
    for number, frame in enumerate(client.retrieve_instance_frames(*kept.uids, [1, 2, 3])):
        found = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
        assert len(frame) == 5
        assert found[:35].reshape(5, 7).tolist() == bits[number].tolist()


def test_big_endian_comes_as_little_endian(client, store, make):
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8) * 301
    made = make.image(pixels)
    made.PixelData = pixels.astype(">u2").tobytes()
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    path = make.write(made, "big.dcm", implicit_vr=False, little_endian=False)
    kept = Kept(store, path)
    (frame,) = client.retrieve_instance_frames(*kept.uids, [1])
    assert np.frombuffer(frame, "<u2").reshape(6, 8).tolist() == pixels.tolist()


def test_colours_that_a_decoder_would_change_are_not_given_uncompressed(url, keys, store, make):
    made = make.image(_RNG.integers(0, 255, (16, 16, 3)).astype(np.uint8))
    made.compress(RLELossless, generate_instance_uid=False)
    fine = Kept(store, make.write(made, "rgb.dcm"))
    made.PhotometricInterpretation, made.SOPInstanceUID = "YBR_FULL", "1.2.3.4"
    other = Kept(store, make.write(made, "ybr.dcm"))
    assert get(url, keys, f"{fine.path}/frames/1", OCTETS).status_code == 200
    assert get(url, keys, f"{other.path}/frames/1", OCTETS).status_code == 406
    assert get(url, keys, f"{other.path}/frames/1", f"{OCTETS}; transfer-syntax=*").status_code == 200


@pytest.mark.parametrize(
    ("frames", "status"), [("0", 400), ("x", 400), ("1,,2", 400), ("-1", 400), ("6", 404), ("1,6", 404), ("1" * 9, 400)]
)
def test_frames_that_are_none(url, keys, five, frames, status):
    assert get(url, keys, f"{five[0].path}/frames/{frames}").status_code == status
    assert get(url, keys, f"{five[0].path}/frames/{frames}/rendered").status_code == status


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("image/png", 406),
        (f"{OCTETS}; transfer-syntax={JPEG2000Lossless}", 406),
        ('multipart/related; type="image/jp2"', 406),
        (f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1", 200),
        (f"image/jls, {OCTETS};q=0.5", 200),
        (f"{OCTETS};q=0", 406),
        ("multipart/related", 200),
        ("*/*", 200),
        ("nonsense", 400),
        (f"{OCTETS}; transfer-syntax=x", 400),
        ("a/b;q=2", 400),
        (", ".join(["a/b"] * 100), 400),
        ("a/" + "b" * 9000, 400),
    ],
)
def test_what_is_accepted(url, keys, five, accept, status):
    assert get(url, keys, f"{five[0].path}/frames/1", accept).status_code == status


def test_objects_by_themselves_and_by_transfer_syntax(url, keys, five, store, make):
    kept, _ = five
    answer = get(url, keys, kept.path, "application/dicom")
    assert answer.headers["content-type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert answer.content == kept.one.path.read_bytes()
    study = "/".join(kept.path.split("/")[:3])
    dicom = 'multipart/related; type="application/dicom"; transfer-syntax='
    for path, accept, status in (
        (kept.path, f"{dicom}*", 200),
        (kept.path, f"{dicom}1.2.840.10008.1.2.1", 200),
        (kept.path, f"{dicom}{JPEG2000Lossless}", 406),
        (kept.path, "application/dicom; transfer-syntax=1.2.840.10008.1.2", 406),
        (study, "application/dicom", 200),  # there is one
        (study, "text/html", 406),
    ):
        assert get(url, keys, path, accept).status_code == status, (path, accept)
    assert get(url, keys, kept.path, "text/html", accept="application/dicom").status_code == 200
    assert get(url, keys, f"{kept.path}/metadata", "application/dicom+xml").status_code == 406


def test_headers_of_study_series_and_instance(client, ct, store):
    for path in ct:
        store.add_file(path)
    study, series = store.instances()[0].study, store.instances()[0].series
    told = [
        client.retrieve_study_metadata(study),
        client.retrieve_series_metadata(study, series),
        [client.retrieve_instance_metadata(study, series, one.uid) for one in store.instances()],
    ]
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 5
    for one in told[0]:
        assert one["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]
        assert one["7FE00010"]["BulkDataURI"].endswith("/bulkdata/7FE00010")


def test_large_values_are_had_by_their_address_also_within_sequences(client, url, keys, store, make):
    pixels = np.zeros((4, 4), np.uint16)
    item = pydicom.Dataset()
    item.ICCProfile = bytes(range(256)) * 8
    made = make.image(pixels, ICCProfile=b"abcd" * 600, OpticalPathSequence=[pydicom.Dataset(), item])
    kept = Kept(store, make.write(made, "bulk.dcm"))
    told = client.retrieve_instance_metadata(*kept.uids)
    top, inner = told["00282000"], told["00480105"]["Value"][1]["00282000"]
    assert bytes(client.retrieve_bulkdata(top["BulkDataURI"])[0]) == b"abcd" * 600
    assert bytes(client.retrieve_bulkdata(inner["BulkDataURI"])[0]) == bytes(range(256)) * 8
    assert get(url, keys, f"{kept.path}/bulkdata/00282000", "application/octet-stream").content == b"abcd" * 600
    for where, status in (
        *(("00480105/3/00282000", 404), ("00480105/0/00282000", 404), ("00282000/1/00282000", 404)),
        *(("00100010", 404), ("..%2f..%2fetc", 400), ("7FE0", 400), ("00480105", 404)),
    ):
        assert get(url, keys, f"{kept.path}/bulkdata/{where}").status_code == status, where
    assert get(url, keys, f"{kept.path}/bulkdata/00282000", "image/png").status_code == 406


def test_pixels_that_are_compressed_are_asked_for_by_frame(url, keys, store, make):
    kept = compressed(make, store, np.zeros((2, 8, 8), np.uint16), RLELossless)
    assert get(url, keys, f"{kept.path}/bulkdata/7FE00010").status_code == 406


@pytest.mark.parametrize(
    ("header", "best"),
    [
        ("", Range("*/*")),
        ("image/png;q=0.2, image/jpeg", Range("image/jpeg", False)),
        ('multipart/related; type="image/jls"; transfer-syntax="1.2.3"', Range("image/jls", True, "1.2.3")),
        ('a/b; x="1,2", c/d', Range("a/b", False)),
    ],
)
def test_headers_accept_are_read(header, best):
    assert ranges_of(header)[0] == best
