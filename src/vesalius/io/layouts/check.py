"""Read every case and say which cannot be used, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from vesalius.errors import VesaliusError
from vesalius.image import LeftOut, Record
from vesalius.io.layouts.facts import Facts
from vesalius.io.layouts.meaning import Meaning, is_two_toned

_THREADS = 2  # decompression leaves the interpreter free; more would only hold more images in memory

Progress = Callable[[int, int], None]
"""Called with the number of cases done and of all cases."""


def read_all(
    records: Sequence[Record], examine: Callable[[Record], Facts], progress: Progress | None
) -> tuple[dict[str, Facts], list[LeftOut]]:
    """Read the records, two at a time.

    Args:
        records: The cases.
        examine: What is read of each.
        progress: Called after each case.

    Returns:
        What is known of each case that could be read, by id, in the records' order; and the others, with the reason.
    """

    def attempt(record: Record) -> Facts | LeftOut:
        try:
            return examine(record)
        except VesaliusError as error:
            return LeftOut(record.id, str(error))

    facts: dict[str, Facts] = {}
    left_out: list[LeftOut] = []
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for done, (record, outcome) in enumerate(zip(records, pool.map(attempt, records), strict=True), start=1):
            if isinstance(outcome, LeftOut):
                left_out.append(outcome)
            else:
                facts[record.id] = outcome
            if progress is not None:
                progress(done, len(records))
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C the other cases are not waited for
    return facts, left_out


def find_unlike(facts: Mapping[str, Facts], *, declared: int | None) -> list[LeftOut]:
    """The cases whose number of channels or of dimensions is not that of the data set.

    Args:
        facts: Of each case.
        declared: The number of channels that the data set declares; that of most cases when ``None``.
    """
    images = {case: known.image for case, known in facts.items() if known.image is not None}
    left_out: list[LeftOut] = []
    for kind, number, wanted in (
        ("channels", {case: image.channels for case, image in images.items()}, declared),
        ("dimensions", {case: len(image.shape) for case, image in images.items()}, None),
    ):
        usual = _most_common(number.values()) if wanted is None else wanted
        source = "most cases have" if wanted is None else "the data set declares"
        known = {unlike.id for unlike in left_out}
        left_out += [
            LeftOut(case, f"its image has {found} {kind}; {source} {usual}")
            for case, found in number.items()
            if found != usual and case not in known
        ]
    return left_out


def find_undeclared(facts: Mapping[str, Facts], meaning: Meaning) -> list[LeftOut]:
    """The cases whose reference holds values that mean nothing."""
    left_out: list[LeftOut] = []
    for case, known in facts.items():
        if known.reference is None:
            continue
        counts = known.reference.counts
        if meaning.binarise_above is not None:
            if meaning.binarise_above > 1 and not is_two_toned(counts):
                left_out.append(LeftOut(case, "its reference is a grey picture that is not black and white"))
            continue
        strangers = sorted(set(counts) - meaning.labels.declared)
        if strangers:
            shown = ", ".join(map(str, strangers[:8])) + (" …" if len(strangers) > 8 else "")
            advice = "; JPEG changes label values, store it as PNG" if known.reference.lossy else ""
            left_out.append(LeftOut(case, f"its reference holds values that are not declared: {shown}{advice}"))
    return left_out


def find_doubles(facts: Mapping[str, Facts]) -> list[LeftOut]:
    """The cases whose image another case, that came first, holds already."""
    first: dict[str, str] = {}
    left_out: list[LeftOut] = []
    for case, known in facts.items():
        if known.image is None:
            continue
        owner = first.setdefault(known.image.digest, case)
        if owner != case:
            left_out.append(LeftOut(case, f"its image is the same, voxel by voxel, as that of {owner}"))
    return left_out


def _most_common(numbers: Iterable[int]) -> int:
    # Of two numbers that are as common as each other, the smaller.
    counts = Counter(numbers)
    return min(counts, key=lambda number: (-counts[number], number), default=1)
