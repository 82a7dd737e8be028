"""3MF: what printers' programs read; millimetres, one object a structure, with its name and colour.

Source: 3MF Consortium, 3D Manufacturing Format Core Specification 1.3 (package: ISO/IEC 29500-2, Open Packaging
Conventions).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from vesalius.errors import FormatError
from vesalius.io import xml
from vesalius.mesh.files.content import LARGEST_BYTES, Axes, colour_of, turned
from vesalius.mesh.files.threemf_model import MODEL, Model
from vesalius.mesh.surface import Surface

_PLACE = "3D/3dmodel.model"
_RELATIONS = "_rels/.rels"
_START = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
_OPC = "http://schemas.openxmlformats.org/package/2006"
_CONTENT_TYPES = f"""<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="{_OPC}/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/>
</Types>
"""
_RELS = f"""<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="{_OPC}/relationships">
<Relationship Target="/{_PLACE}" Id="rel0" Type="{_START}"/>
</Relationships>
"""
_WHEN = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell: equal surfaces make equal files
_MOST_MEMBERS = 4096
_MOST_RATIO = 200  # numbers as text shrink to a fifth; what shrinks to a two-hundredth is a bomb
_SMALL = 1 << 20


def encode(
    surfaces: Sequence[Surface],
    *,
    axes: Axes = "lps",
    opacity: Mapping[str, float] | None = None,
    assembled: bool = True,
) -> bytes:
    """A 3MF package of the surfaces.

    Args:
        surfaces: In patient space.
        axes: Of the file, told in its metadata.
        opacity: By the structure's name, 0 to 1, for programs that show it.
        assembled: Join the objects to one, whose parts printers' programs keep in place; else each is an object of its
            own, to be arranged on the bed.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Label
        >>> one = Surface(np.eye(4)[:, :3], np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("a", 1))
        >>> encode([one])[:2], encode([one]) == encode([one])
        (b'PK', True)
    """
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as made:
        model = _model(surfaces, axes, opacity or {}, assembled=assembled)
        for name, text in (("[Content_Types].xml", _CONTENT_TYPES), (_RELATIONS, _RELS), (_PLACE, model)):
            member = zipfile.ZipInfo(name, _WHEN)
            member.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(member, text)
    return package.getvalue()


def _model(surfaces: Sequence[Surface], axes: Axes, opacity: Mapping[str, float], *, assembled: bool) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<model unit="millimeter" xml:lang="en-US" xmlns="{MODEL}">',
        '<metadata name="Application">Vesalius</metadata>',
        f'<metadata name="Description">SPACE={axes.upper()}</metadata>',
        "<resources>",
        '<basematerials id="1">',
    ]
    for surface in surfaces:
        shade = (*colour_of(surface), round(255 * opacity.get(surface.label.name, 1.0)))
        colour = "#" + "".join(f"{part:02X}" for part in shade)
        lines.append(f'<base name={quoteattr(surface.label.name)} displaycolor="{colour}"/>')
    lines.append("</basematerials>")
    for place, surface in enumerate(surfaces):
        lines += [
            f'<object id="{place + 2}" type="model" name={quoteattr(surface.label.name)}'
            f' partnumber="{surface.label.value}" pid="1" pindex="{place}">',
            "<mesh>",
            "<vertices>",
            *(
                f'<vertex x="{x:.9g}" y="{y:.9g}" z="{z:.9g}"/>'
                for x, y, z in (turned(surface.vertices, axes) + 0.0).tolist()
            ),
            "</vertices>",
            "<triangles>",
            *(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in surface.faces.tolist()),
            "</triangles>",
            "</mesh>",
            "</object>",
        ]
    numbers = range(2, len(surfaces) + 2)
    if assembled and len(surfaces) > 1:
        whole = len(surfaces) + 2
        name = quoteattr(", ".join(surface.label.name for surface in surfaces)[:200])
        lines += [f'<object id="{whole}" type="model" name={name}>', "<components>"]
        lines += [f'<component objectid="{number}"/>' for number in numbers]
        lines += ["</components>", "</object>"]
        numbers = range(whole, whole + 1)
    lines += [
        "</resources>",
        "<build>",
        *(f'<item objectid="{number}"/>' for number in numbers),
        "</build>",
        "</model>",
    ]
    return "\n".join(lines) + "\n"


def decode(data: bytes, path: Path, *, axes: Axes | None = None) -> tuple[Surface, ...]:
    """Read a 3MF file: a surface for each object that is built, parts and their places worked out.

    Args:
        data: The file.
        path: Not used; objects without a name are numbered.
        axes: Of a file that does not tell them; LPS when left out.

    Raises:
        FormatError: It is no 3MF package, damaged, would grow beyond all measure, or has objects that hold themselves.
    """
    del path
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            members = package.infolist()
            if len(members) > _MOST_MEMBERS:
                raise FormatError(f"the package has {len(members)} members; a 3MF has a few")
            text = _member(package, _start_part(package))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError("not a 3MF package, or a damaged one") from error
    model = Model()
    xml.parse(text, start=model.start, end=model.end, text=model.text, what="a 3MF model")
    return model.surfaces(axes)


def _start_part(package: zipfile.ZipFile) -> str:
    """The model that the package begins with."""
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.endswith("}Relationship") and attributes.get("Type") == _START:
            found.append(attributes.get("Target", ""))

    names = package.namelist()
    if _RELATIONS in names:
        xml.parse(_member(package, _RELATIONS), start=start, what="a list of relations")
    place = (found or [_PLACE])[0].lstrip("/")
    known = {name.lower(): name for name in names}  # names of parts are compared without case
    if place.lower() not in known:
        raise FormatError("the package holds no 3D model: it is no 3MF")
    return known[place.lower()]


def _member(package: zipfile.ZipFile, name: str) -> bytes:
    member = package.getinfo(name)
    size = member.file_size
    if size > LARGEST_BYTES or size > max(_SMALL, _MOST_RATIO * member.compress_size):
        raise FormatError(f"a part of the package would grow to {size} bytes from {member.compress_size}")
    with package.open(member) as part:
        # A size that lies is found here: no more is unpacked than was told.
        text = part.read(size + 1)
    if len(text) != size:
        raise FormatError("a part of the package is not of the size that it tells")
    return text
