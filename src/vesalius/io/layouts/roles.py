"""What a file's name says about it: an image, which channel, a reference, or neither."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_SEPARATOR = r"[_\-. ]"
# The first of two readers is the reference, by the custom of CHASE_DB1 and DRIVE.
_FIRST = r"1stHO|1st_?manual|manual1"
_SECOND = r"2ndHO|2nd_?manual|manual2"
_ENDING = r"seg(?:mentations?|s)?|labels?|masks?|msk|annotations?"  # these may carry a prefix: gmseg, lungmask
_WHOLE = rf"gt|ground_?truth|references?|manual|roi|contour|OT(?:MultiClass)?|{_FIRST}|{_SECOND}"  # these may not
_QUALIFIER = rf"(?:{_SEPARATOR}(?:manual|auto|final|corrected|consensus|binary|multiclass))"
_WORD = rf"(?:[a-z]*(?:{_ENDING})|{_WHOLE}){_QUALIFIER}*"
_MARKED = re.compile(
    rf"(?:(?P<head>.+?){_SEPARATOR})?(?P<mark>{_WORD})(?:{_SEPARATOR}?(?P<number>\d+))?", re.IGNORECASE
)
_AUXILIARY = re.compile(rf"(?:.*{_SEPARATOR})?(?:brain|head|skull|fov|body|bet){_SEPARATOR}?masks?", re.IGNORECASE)
# "OT" is the observed truth of the BraTS files of the Virtual Skeleton Database.
_IMAGE = r"images?|img|vol(?:ume)?|scan|orig(?:inal)?|raw|input"
_SEQUENCE = (
    r"t1(?:w|c|ce|gd|n|km)?|t2(?:w|f|s|star)?|pdw?|flair|swi|dwi|adc|mra?|mri|cta?|cbct|pet|suv|us|b0|mp?2?rage|bold"
)
_CHANNEL_LAST = re.compile(rf"(?:(?P<head>.+){_SEPARATOR})?(?P<word>{_IMAGE}|{_SEQUENCE})", re.IGNORECASE)
_CHANNEL_FIRST = re.compile(
    rf"(?P<word>{_SEQUENCE}){_SEPARATOR}(?P<rest>.+)|(?P<image>{_IMAGE}){_SEPARATOR}?(?P<number>\d+)", re.IGNORECASE
)
_MODALITY = re.compile(_IMAGE, re.IGNORECASE)


@dataclass(frozen=True)
class Role:
    """What a name says.

    Args:
        kind: ``"auxiliary"`` is a mask that is neither image nor reference, such as a brain mask.
        key: What the files of one case share; empty when the name holds nothing but its role.
        word: The channel's name, or the mark of a reference without its separator.
        plain: The channel's word only says that this is an image.
        number: The number that follows a reference's mark: of the case (``mask_07``) or of a further part.
        leading: The word stands before the key.
    """

    kind: Literal["image", "reference", "auxiliary"]
    key: str
    word: str = ""
    plain: bool = True
    number: str = ""
    leading: bool = False


def role(name: str) -> Role:
    """Read the role of a file off its stem.

    Example:
        >>> role("patient001_frame01_gt").word, role("mni_FLAIR").key, role("benign_4").kind
        ('gt', 'mni', 'image')
        >>> role("segmentation-12").key
        '12'
    """
    if _AUXILIARY.fullmatch(name):
        return Role("auxiliary", name)
    marked = _MARKED.fullmatch(name)
    if marked:
        head, number = marked["head"] or "", marked["number"] or ""
        return Role("reference", head or number, marked["mark"], number=number, leading=not head)
    last = _CHANNEL_LAST.fullmatch(name)
    if last:
        return Role("image", last["head"] or "", last["word"], plain=bool(_MODALITY.fullmatch(last["word"])))
    first = _CHANNEL_FIRST.fullmatch(name)
    if first:
        word = first["word"] or first["image"]
        return Role("image", first["rest"] or first["number"], word, plain=first["word"] is None, leading=True)
    return Role("image", name)


def rank(mark: str) -> int:
    """How much a mark speaks for a reference: 0 a first reader, 1 a usual word, 2 an unknown one, 3 a second reader.

    Example:
        >>> rank("1stHO"), rank("lesion_seg"), rank("lobes"), rank("2ndHO")
        (0, 1, 2, 3)
    """
    if re.search(rf"(?:^|{_SEPARATOR})(?:{_FIRST})$", mark, re.IGNORECASE):
        return 0
    if re.search(rf"(?:^|{_SEPARATOR})(?:{_SECOND})$", mark, re.IGNORECASE):
        return 3
    return 1 if _MARKED.fullmatch(mark) else 2


def bare(mark: str) -> str:
    """A mark without leading separators and in lower case, so that ``_GT`` and ``gt`` are the same."""
    return mark.lstrip("_-. ").casefold()
