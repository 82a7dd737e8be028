"""What the values of a data set's references mean, where nobody declared it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vesalius.errors import DataError
from vesalius.image import Labels
from vesalius.io.layouts.facts import ReferenceFacts

_THRESHOLD = 127
_NEAR = 32  # grey values that JPEG or resampling leave next to black and white
_MANY = 16  # values; fewer may well be labels
_SHARE = 0.95  # of the pixels of a blurred mask that are nearly black or white


@dataclass(frozen=True)
class Meaning:
    """How the references are to be read.

    Args:
        labels: What the values mean.
        binarise_above: Values above it are label 1; ``None`` when the values are labels already.
        note: What was decided, in a sentence; empty when nothing had to be.
    """

    labels: Labels
    binarise_above: float | None = None
    note: str = ""

    def counts(self, reference: ReferenceFacts) -> dict[int, int]:
        """Voxels of each label in a reference, background included."""
        if self.binarise_above is None:
            return dict(reference.counts)
        above = sum(count for value, count in reference.counts.items() if value > self.binarise_above)
        return {0: sum(reference.counts.values()) - above, 1: above}


def decide_meaning(references: Sequence[ReferenceFacts], declared: Labels | None) -> Meaning:
    """Decide what the values of the references mean.

    What was declared holds. Else references that number their objects are taken as one foreground, and values keep
    their own: one is called "foreground", several "label 1" and so on, unless the files name them. Where there is but
    one label, declared or not, pictures of soft black and white are cut at 127, and 255 may stand for 1.

    Args:
        references: At least one.
        declared: Labels of a ``dataset.json``, if any.

    Raises:
        DataError: All references are empty.

    Example:
        >>> mask = ReferenceFacts({0: 90, 255: 10}, Labels.of([255]))
        >>> decide_meaning([mask], None).labels.targets()
        {'foreground': (255,)}
    """
    foreground = declared if declared is not None else Labels.of({"foreground": 1})
    if foreground.declared == {0, 1}:
        if any(r.lossy for r in references) or _blurred(references):
            note = f"references are grey pictures with soft edges: values above {_THRESHOLD} are the foreground"
            return _not_empty(Meaning(foreground, _THRESHOLD, note), references)
        largest = _largest_number(references) if declared is None else 0
        if largest:
            note = (
                f"references number their objects (up to {largest}): all of them are one foreground "
                "(labels declared in dataset.json keep them apart)"
            )
            return _not_empty(Meaning(foreground, 0.0, note), references)
        whites = {white for reference in references for white in reference.counts} - {0}
        mixed = whites == {1, 255} and not any({1, 255} <= set(reference.counts) for reference in references)
        if mixed or (declared is not None and whites == {255}):
            note = f"references hold {' or '.join(map(str, sorted(whites)))} where the foreground is: it is label 1"
            return _not_empty(Meaning(foreground, 0.0, note), references)
    if declared is not None:
        return _not_empty(Meaning(declared), references)
    named = {reference.labels for reference in references}
    values = sorted({value for reference in references for value in reference.counts} - {0})
    told = next(iter(named))
    if len(named) == 1 and told != Labels.of(told.values):
        return _not_empty(Meaning(told), references)
    labels = Labels.of({"foreground": values[0]} if len(values) == 1 else values)
    return _not_empty(Meaning(labels), references)


def is_two_toned(counts: Mapping[int, int]) -> bool:
    """Whether nearly all pixels are nearly black or nearly white, as in a mask that was stored as JPEG."""
    extreme = sum(n for value, n in counts.items() if value < _NEAR or 255 - _NEAR < value <= 255)
    return extreme >= _SHARE * sum(counts.values())


def _blurred(references: Sequence[ReferenceFacts]) -> bool:
    values = {value for reference in references for value in reference.counts}
    return (
        all(reference.picture for reference in references)
        and len(values) >= _MANY
        and 255 - _NEAR < max(values) <= 255
        and all(is_two_toned(reference.counts) for reference in references)
    )


def _largest_number(references: Sequence[ReferenceFacts]) -> int:
    """The largest number of objects, when the references count theirs from 1 and hardly two have as many; else 0."""
    ends = []
    for reference in references:
        values = sorted(set(reference.counts) - {0})
        if values and values != list(range(1, len(values) + 1)):
            return 0
        ends.append(len(values))
    return max(ends) if max(ends) >= _MANY and len(set(ends)) > len(ends) / 2 > 0.5 else 0


def _not_empty(meaning: Meaning, references: Sequence[ReferenceFacts]) -> Meaning:
    if not any(set(meaning.counts(r)) - {0} and sum(meaning.counts(r).values()) > meaning.counts(r).get(0, 0)
               for r in references):  # fmt: skip
        raise DataError(f"all {len(references)} references are empty{f' ({meaning.note})' if meaning.note else ''}")
    return meaning
