"""Which prediction goes with which reference: by name, for one method or several."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vesalius.image import Dataset, LabelMap, Labels, Record, Volume


@dataclass(frozen=True)
class Trial:
    """A case with its reference and what each method said of it.

    Args:
        name: Of the case.
        reference: Reads the reference.
        predictions: The label file of each method that has one.
        image: Reads the image; None where there is none.
        labels: Those of the data set; None where files speak for themselves.
    """

    name: str
    reference: Callable[[], LabelMap]
    predictions: Mapping[str, Path]
    image: Callable[[], Volume] | None
    labels: Labels | None


def find_trials(
    args: argparse.Namespace, methods: Mapping[str, Path], references: Path
) -> tuple[list[Trial], list[str]]:
    """Cases that have a reference and a prediction by some method, and words about what stands alone.

    With one method the words name the file alone, with several the method, too.

    Args:
        args: With ``layout`` and ``reference_name``.
        methods: Where each method's predictions are: a folder, or a label file if ``references`` is one.
        references: Where the references are.

    Raises:
        DataError: A place does not exist, or files and folders are mixed.
    """
    from vesalius.errors import DataError
    from vesalius.io import read_labels
    from vesalius.io.layouts.files import stem

    for path in (*methods.values(), references):
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder")
    files = [path for path in methods.values() if path.is_file()]
    if files:
        if len(files) < len(methods) or not references.is_file():
            raise DataError("one prediction needs one reference: give a file for both, or a folder for both")
        name = stem(files[0] if len(files) == 1 else references)
        return [Trial(name, partial(read_labels, references), methods, None, None)], []
    found = {method: dict(_label_files(path)) for method, path in methods.items()}
    trials, lonely = [], []
    known = set()
    for trial in _references(args, references):
        known.add(trial.name)
        said = {method: paths[trial.name] for method, paths in found.items() if trial.name in paths}
        of = {method: "" if len(methods) == 1 else f"{method}: " for method in methods}
        lonely += [
            f"{of[method]}{trial.name}: no prediction for this reference" for method in methods if method not in said
        ]
        if said:
            trials.append(Trial(trial.name, trial.reference, said, trial.image, trial.labels))
    for method, paths in found.items():
        of_method = "" if len(methods) == 1 else f"{method}: "
        lonely += [f"{of_method}{name}: no reference for this prediction" for name in paths if name not in known]
    return trials, lonely


def _references(args: argparse.Namespace, place: Path) -> Iterator[Trial]:
    from vesalius.errors import DataError
    from vesalius.io import read_labels
    from vesalius.io.layouts import index
    from vesalius.io.layouts.load import load_case, read_channels

    try:
        dataset = index(place, args.layout, reference=args.reference_name, check=False)
    except DataError:
        if args.layout != "auto" or args.reference_name:
            raise
        dataset = None  # no layout: a folder of label files
    if dataset is None or not any(record.reference for record in dataset.records):
        for name, path in _label_files(place):
            yield Trial(name, partial(read_labels, path), {}, None, None)
        return
    for record in dataset.records:
        if record.reference is None:
            continue
        if dataset.load is not load_case:  # a layout that reads its cases in its own way
            reference = partial(_reference, dataset, record)
            yield Trial(record.id, reference, {}, partial(_image, dataset, record), dataset.labels)
            continue
        yield Trial(
            record.id,
            partial(read_labels, record.reference, dataset.labels, binarise_above=dataset.binarise_above),
            {},
            partial(read_channels, record.images),
            dataset.labels,
        )


def _reference(dataset: Dataset, record: Record) -> LabelMap:
    reference = dataset.load(record, dataset).reference
    assert reference is not None
    return reference


def _image(dataset: Dataset, record: Record) -> Volume:
    return dataset.load(record, dataset).image


def _label_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Label files below a folder, named by their place in it without the suffix."""
    from vesalius.io.layouts.files import find_images, stem

    for path in find_images(folder):
        name = path.relative_to(folder).with_name(stem(path)).as_posix()
        if not name.endswith("-probabilities"):
            yield name, path


def named(predictions: list[str]) -> dict[str, Path]:
    """Names of several methods: as written before ``=``, else that of the folder.

    Raises:
        DataError: Two have the same name.

    Example:
        >>> named(["out/unet", "ours=out/new"])
        {'unet': PosixPath('out/unet'), 'ours': PosixPath('out/new')}
    """
    from vesalius.errors import DataError
    from vesalius.io.layouts.files import stem

    found: dict[str, Path] = {}
    for text in predictions:
        name, sign, place = text.partition("=")
        path = Path(place if sign and not Path(text).exists() else text)
        if not sign or Path(text).exists():
            name = path.resolve().name if path.is_dir() else stem(path).removesuffix(".csv")
        if not name or name in found:
            raise DataError(
                f"two methods are called {name!r}: write names of your own before them, for example "
                f"ours={path} theirs=…"
            )
        found[name] = path
    return found
