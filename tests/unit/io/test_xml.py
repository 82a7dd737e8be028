"""XML of strangers: what is refused, and that the rest comes through."""

import pytest

from vesalius.errors import FormatError
from vesalius.io import xml


def _names(data: bytes, **options) -> list[str]:
    names: list[str] = []
    xml.parse(data, start=lambda name, attributes: names.append(name), **options)
    return names


def test_elements_come_with_their_namespace_and_text():
    texts = []
    assert _names(b'<a xmlns="n"><b c="1"/>x</a>', text=texts.append) == ["n}a", "n}b"]
    assert texts == ["x"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "cccc">]><a>&b;</a>', "document type or entities"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type or entities"),
        (b"<a>" * 100 + b"</a>" * 100, "nested too deeply"),
        (b"<a><b>", "cut off"),
        (b"", "cut off"),
        (b"\x00\xff", "not XML"),
    ],
)
def test_what_is_refused(data, message):
    with pytest.raises(FormatError, match=message):
        _names(data)


def test_depth_is_counted_not_elements():
    assert len(_names(b"<a>" + b"<b/>" * 1000 + b"</a>", deepest=2)) == 1001
