"""What a client says that it takes: media types, in one part or several, and transfer syntaxes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vesalius.errors import FormatError
from vesalius.server.dicomweb.multipart import parameters

_LONGEST = 8 << 10  # characters of a header
_MOST = 64  # media ranges
_TYPE = re.compile(r"[a-z0-9!#$&^_.+*-]{1,127}/[a-z0-9!#$&^_.+*-]{1,127}", re.ASCII)
_SYNTAX = re.compile(r"\*|[0-9.]{1,64}", re.ASCII)
_COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')  # none within quotes


@dataclass(frozen=True)
class Range:
    """A kind of answer that is taken.

    Args:
        kind: Media type, of the parts where there are several; ``*`` stands for any.
        several: True for several parts, False for one, None for either.
        syntax: Transfer syntax, ``*`` for any, None where nothing is said.
        quality: The more the better, up to 1.
    """

    kind: str
    several: bool | None = None
    syntax: str | None = None
    quality: float = 1.0

    def takes(self, kind: str) -> bool:
        """Whether a media type is among those meant.

        Example:
            >>> Range("image/*").takes("image/png"), Range("image/jpeg").takes("image/png")
            (True, False)
        """
        return self.kind in ("*/*", kind) or (self.kind.endswith("/*") and kind.startswith(self.kind[:-1]))


def ranges_of(header: str) -> tuple[Range, ...]:
    """What a header ``Accept`` says, the best first; an empty one takes everything.

    Args:
        header: Its value.

    Raises:
        FormatError: It is too long, or not written as such a header is.

    Source: RFC 9110, 12.5.1; PS3.18 2026c, 8.7.4 and 8.7.5 (media types and transfer-syntax parameters).

    Example:
        >>> ranges_of('multipart/related; type="application/octet-stream"; transfer-syntax=*')
        (Range(kind='application/octet-stream', several=True, syntax='*', quality=1.0),)
    """
    if len(header) > _LONGEST:
        raise FormatError("the header Accept is too long")
    texts = [text for text in _COMMA.split(header) if text.strip()] or ["*/*"]
    if len(texts) > _MOST:
        raise FormatError(f"the header Accept names more than {_MOST} media types")
    found = [_range(text) for text in texts]
    return tuple(sorted((one for one in found if one.quality > 0), key=lambda one: -one.quality))


def _range(text: str) -> Range:
    kind, said = parameters(text)
    if kind == "*":  # some clients of Java write it so
        kind = "*/*"
    quality = _quality(said.get("q", "1"))
    syntax = said.get("transfer-syntax")
    if not _TYPE.fullmatch(kind) or (syntax is not None and not _SYNTAX.fullmatch(syntax)):
        raise FormatError("the header Accept names something that is no media type or transfer syntax")
    if kind in ("multipart/related", "multipart/*"):
        inner = said.get("type", "*/*").lower()
        if not _TYPE.fullmatch(inner):
            raise FormatError("the header Accept names something that is no media type")
        return Range(inner, True, syntax, quality)
    return Range(kind, None if kind == "*/*" else False, syntax, quality)


def _quality(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise FormatError("a quality in the header Accept must be from 0 to 1")
    return number


def accepted(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[Range, ...]:
    """What a request takes: the parameter ``accept``, for those that cannot set headers, comes first.

    Source: PS3.18 2026c, 8.3.3.1.
    """
    return ranges_of(query.get("accept") or headers.get("accept", ""))
