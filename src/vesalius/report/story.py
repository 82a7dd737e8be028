"""A page that tells what was done: headings, paragraphs, tables and pictures, in one file."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from vesalius.io.atomic import write_text
from vesalius.report.canvas import png_bytes


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page.

    Args:
        heading: Of the part.
        texts: Paragraphs.
        table: Rows of cells, the first being the head; none when empty.
        pictures: RGB pictures ``(rows, columns, 3)`` by caption.
    """

    heading: str
    texts: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    pictures: Mapping[str, NDArray[np.uint8]] | None = None


def story_html(
    sections: Sequence[Section],
    path: str | os.PathLike[str],
    *,
    title: str,
    lead: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Write a page of sections that stands alone: style and pictures inside, no script, all text escaped.

    Args:
        sections: In order.
        path: The HTML file to write.
        title: Heading of the page.
        lead: A sentence below it.
        provenance: Lines of the colophon, name to text.

    Raises:
        VesaliusError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rows = [["name", "ml"], ["<liver>", "1500"]]
        ...     story_html([Section("Volumes", table=rows)], folder + "/a.html", title="A")
        ...     "&lt;liver&gt;" in (Path(folder) / "a.html").read_text()
        True
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    package = resources.files("vesalius.report")
    page = environment.from_string(package.joinpath("story.html.j2").read_text(encoding="utf-8"))
    text = page.render(
        title=title,
        lead=lead,
        style=package.joinpath("page.css").read_text(encoding="utf-8"),
        sections=[
            {
                "heading": section.heading,
                "texts": section.texts,
                "table": section.table,
                "shots": [(caption, inline(shot)) for caption, shot in (section.pictures or {}).items()],
            }
            for section in sections
        ],
        provenance=dict(provenance or {}),
    )
    write_text(path, text)


def inline(picture: NDArray[np.uint8]) -> str:
    """A picture as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(picture)).decode("ascii")
