"""Which of several marks or folders holds the references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vesalius.errors import DataError, unknown_name
from vesalius.io.layouts.roles import bare, rank


def choose_reference(marks: Iterable[str], wanted: str | None, *, where: str) -> str:
    """Choose what marks the references of a data set.

    The one asked for; else the mark of most images, where unknown words come after the usual ones and a second
    reader's last, and a first reader's before its equals. A tie is not decided by chance but is an error.

    Args:
        marks: The mark of every candidate, once for each image that it would serve; at least one.
        wanted: The mark that the caller asked for.
        where: The folder's name, for the message.

    Returns:
        The mark as `bare` has it.

    Raises:
        DataError: ``wanted`` is not among the marks, or two are as likely as each other.

    Example:
        >>> choose_reference(["_1stHO", "_2ndHO"], None, where="chasedb1")
        '1stho'
    """
    counts = Counter(bare(mark) for mark in marks)
    if wanted is not None:
        if bare(wanted) not in counts:
            raise DataError(f"{where}: {unknown_name('reference', wanted, counts)}")
        return bare(wanted)

    def order(mark: str) -> tuple[int, int, int]:
        return max(1, rank(mark)), -counts[mark], rank(mark)

    best = min(counts, key=order)
    equals = sorted(mark for mark in counts if order(mark) == order(best))
    if len(equals) > 1:
        shown = ", ".join(f"{mark!r} ({counts[mark]} images)" for mark in equals[:8])
        raise DataError(
            f"{where}: several kinds of files could be the reference: {shown}. "
            f"Choose one with reference= (--reference {equals[0]})"
        )
    return best
