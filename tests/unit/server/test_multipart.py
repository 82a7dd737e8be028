"""Multipart bodies, however they are cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.errors import FormatError
from vesalius.server.dicomweb.multipart import End, Head, Splitter, joined, new_boundary, parameters


def split(body, boundary, sizes=(1 << 20,)):
    """The parts of a body that comes in pieces of some sizes, again and again."""
    splitter, parts, at, turn = Splitter(boundary), [], 0, 0
    while at < len(body):
        size = sizes[turn % len(sizes)]
        for event in splitter.feed(body[at : at + size]):
            if isinstance(event, Head):
                parts.append((event.content_type, bytearray()))
            elif isinstance(event, End):
                pass
            else:
                parts[-1][1].extend(event)
        at, turn = at + size, turn + 1
    splitter.close()
    return [(kind, bytes(data)) for kind, data in parts]


@given(st.lists(st.binary(max_size=200), max_size=5), st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_what_is_joined_is_split_again(tmp_path_factory, parts, sizes):
    folder = tmp_path_factory.mktemp("parts")
    files = []
    for number, data in enumerate(parts):
        (folder / str(number)).write_bytes(data)
        files.append((folder / str(number), f"application/x-{number}"))
    boundary = new_boundary()
    body = b"".join(joined(files, boundary))
    assert split(body, boundary, sizes) == [(f"application/x-{n}", data) for n, data in enumerate(parts)]


def test_what_looks_like_a_boundary_is_data():
    body = b"preamble\r\n--xy\r\nContent-Type: a/b\r\n\r\n--x\r\n\r\n--x--\r\n--x\r\n--xy--epilogue"
    assert split(body, "xy", (3,)) == [("a/b", b"--x\r\n\r\n--x--\r\n--x")]


@pytest.mark.parametrize(
    "body", [b"", b"--x", b"--x\r\nA: b\r\n\r\ndata", b"--x\r\nA: b\r\n\r\ndata\r\n--x\r\n", b"nothing"]
)
def test_what_is_cut_off_is_told(body):
    with pytest.raises(FormatError, match="cut off"):
        split(body, "x")


def test_what_is_no_message_is_refused():
    with pytest.raises(FormatError, match="too long"):
        split(b"--x\r\n" + b"A" * 100_000, "x", (4096,))
    for boundary in ("", "x" * 201, "x\r\ny", "ä"):
        with pytest.raises(FormatError, match="boundary"):
            Splitter(boundary)


def test_parts_are_limited(monkeypatch):
    monkeypatch.setattr("vesalius.server.dicomweb.multipart.MOST_PARTS", 3)
    with pytest.raises(FormatError, match="more than 3"):
        split(b"--x\r\n\r\n\r\n\r\n" * 5, "x")


def test_memory_does_not_grow_with_a_part():
    splitter = Splitter("x")
    list(splitter.feed(b"--x\r\n\r\n\r\n"))
    for _ in range(100):
        list(splitter.feed(bytes(1 << 16)))
        assert len(splitter._waiting) < 100


def test_media_types():
    assert parameters('Multipart/Related;Type=application/dicom ; Boundary="a b"') == (
        "multipart/related",
        {"type": "application/dicom", "boundary": "a b"},
    )
    assert parameters("") == ("", {})
