"""XML of strangers: elements as they come, with document types, entities and deep nesting refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from vesalius.errors import FormatError


def parse(
    data: bytes,
    *,
    start: Callable[[str, dict[str, str]], Any],
    end: Callable[[str], Any] | None = None,
    text: Callable[[str], Any] | None = None,
    what: str = "XML",
    deepest: int = 64,
) -> None:
    """Read an XML document, and tell its elements one by one.

    Args:
        data: The document.
        start: Told each element's name, ``namespace}name``, and its attributes.
        end: Told the name when it ends.
        text: Told the text between.
        what: What the document should be, for messages.
        deepest: Elements within elements; more are refused.

    Raises:
        FormatError: It is no XML or cut off, nested too deeply, or declares a document type or entities, with which a
            small file can grow without end or have others read.

    Source: W3C, Extensible Markup Language 1.0, 2.8 and 4; CWE-776, CWE-611.

    Example:
        >>> names = []
        >>> parse(b"<a><b/></a>", start=lambda name, attributes: names.append(name))
        >>> names
        ['a', 'b']
    """
    depth = 0

    def open_(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > deepest:
            raise FormatError(f"not {what}: its elements are nested too deeply")
        start(name, attributes)

    def close(name: str) -> None:
        nonlocal depth
        depth -= 1
        if end is not None:
            end(name)

    def refuse(*_: Any) -> None:
        raise FormatError(f"it declares a document type or entities, which {what} does not")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = open_, close
    if text is not None:
        parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise FormatError("not XML, or cut off") from error
