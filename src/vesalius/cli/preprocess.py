"""``vesalius preprocess IMAGE|FOLDER -o OUT --step …``: denoise, correct, scale, by a pipeline that can be replayed."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.progress import counting
from vesalius.cli.signature import parameters, read_value, summary

if TYPE_CHECKING:
    from vesalius.image import Volume
    from vesalius.transform.pipeline import Pipeline, Step

HELP = "denoise, correct and scale images by a list of steps that can be saved and replayed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius preprocess``, and the list of steps."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _steps_told()
    parser.add_argument("image", metavar="IMAGE", help="an image, a DICOM folder, or a folder of images")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="a file for one image, a folder for more")
    parser.add_argument(
        "--step",
        action="append",
        default=[],
        metavar='"NAME KEY=VALUE …"',
        help='a step and its arguments, as often as there are steps: --step n4 --step "gaussian sigma_mm=1"',
    )
    parser.add_argument("--pipeline", metavar="FILE", help="take the steps of a saved pipeline; --step adds to them")
    parser.add_argument("--save", metavar="FILE", help="write the pipeline, to be replayed with --pipeline")
    parser.add_argument("--series", metavar="SERIES", help="which series of a DICOM folder")


def run(args: argparse.Namespace) -> int:
    """Take the steps on every image; a broken one is reported and the rest goes on."""
    from vesalius.errors import DataError, VesaliusError
    from vesalius.io.atomic import make_folder

    pipeline = _pipeline(args)
    if not args.image:
        raise DataError("the name of the image is empty")
    out = Path(args.output)
    # Results of a run before that lie below the folder are none of its images.
    sources = [one for one in _sources(Path(args.image)) if not _lies_in(one.path, out, args.image)]
    single = len(sources) == 1 and Path(args.image) == sources[0].path
    as_file = _names_a_file(out)
    if as_file and not single:
        raise DataError(f"{out.name} names one file, and there are {len(sources)} images: name a folder")
    if args.save:
        make_folder(Path(args.save).parent)
        pipeline.save(args.save)
    images: list[dict[str, Any]] = []
    written: set[Path] = set()
    with counting("images", shown=not args.json) as progress:
        for number, source in enumerate(sources):
            started = time.perf_counter()
            try:
                target = _done(source, pipeline, out, as_file=as_file, series=args.series, written=written)
            except VesaliusError as error:
                if single:
                    raise
                images.append({"image": source.name, "error": str(error)})
                print(f"vesalius: {source.name}: {error}", file=sys.stderr)
            else:
                seconds = time.perf_counter() - started
                images.append({"image": source.name, "output": str(target), "seconds": round(seconds, 3)})
                if not args.json:
                    print(f"{target}  {seconds:.2f} s", flush=True)
            if progress is not None:
                progress(number + 1, len(sources))
    failed = sum("error" in one for one in images)
    if args.json:
        steps = [{"name": step.name, "arguments": dict(step.arguments)} for step in pipeline.steps]
        print(json.dumps({"pipeline": {"sha256": pipeline.sha256, "steps": steps}, "images": images, "failed": failed}))
    return 1 if failed else 0


@dataclass(frozen=True)
class _Source:
    """An image, and where its result lies below the folder of results."""

    path: Path
    below: Path

    @property
    def name(self) -> str:
        return (self.below / self.path.name).as_posix()


def _done(
    source: _Source, pipeline: Pipeline, out: Path, *, as_file: bool, series: str | None, written: set[Path]
) -> Path:
    from vesalius.errors import DataError
    from vesalius.io import read, write
    from vesalius.io.atomic import make_folder
    from vesalius.io.layouts.files import stem
    from vesalius.transform.pipeline import preprocess

    try:
        made = preprocess(read(source.path, series=series), pipeline)
    except MemoryError:
        raise DataError("there is not enough memory for this image") from None
    target = out if as_file else out / source.below / f"{stem(source.path)}{_ending(source.path, made)}"
    if target.resolve() == source.path.resolve():
        raise DataError(f"the result would replace the image {target.name} itself: choose another folder")
    if target in written:
        raise DataError(f"another image was written to {target.name} already: preprocess them apart")
    written.add(target)
    make_folder(target.parent)
    write(made, target)
    return target


def _ending(path: Path, made: Volume) -> str:
    """What the image came in where that can hold the result: pictures of floating point become TIFF."""
    from vesalius.io import PICTURES, format_of

    ending = None if path.is_dir() else format_of(path)
    if ending in PICTURES:
        whole = made.array.dtype.name in ("uint8", "uint16")
        return ".png" if whole and ending not in (".tif", ".tiff") else ".tif"
    if ending in (".npy", ".npz"):
        return ".npz"
    return ending if ending in (".nii", ".nrrd", ".mha") else ".nii.gz"


def _names_a_file(out: Path) -> bool:
    from vesalius.errors import FormatError
    from vesalius.io import format_of

    if out.is_dir():
        return False
    suffix = format_of(out)
    if suffix == ".dcm":
        raise FormatError(f"{out.name}: results are not written as DICOM; choose .nii.gz, .nrrd, .mha, .npz or .tif")
    return suffix is not None


def _lies_in(path: Path, out: Path, image: str) -> bool:
    folder, inner = Path(image).resolve(), out.resolve()
    return inner != folder and inner.is_relative_to(folder) and path.resolve().is_relative_to(inner)


def _sources(path: Path) -> Iterator[_Source]:
    from vesalius.errors import DataError
    from vesalius.io.layouts.files import find_images

    if not path.exists():
        raise DataError(f"{path.name}: there is no such file or folder")
    if path.is_file():
        yield _Source(path, Path())
        return
    found = find_images(path)
    if not found:
        raise DataError(f"{path.name}: there is no image in this folder")
    for image in found:
        yield _Source(image, Path() if image == path else image.parent.relative_to(path))


# --- the steps --------------------------------------------------------------------------------------------------------


def _pipeline(args: argparse.Namespace) -> Pipeline:
    from vesalius.transform.pipeline import Pipeline

    steps: list[Step] = list(Pipeline.load(args.pipeline).steps) if args.pipeline else []
    for text in args.step:
        steps.append(_step(text, steps))
    return Pipeline(tuple(steps))


def _step(text: str, before: Sequence[Step]) -> Step:
    """A step from its text; what refers to files is taken out of them, so that the pipeline needs none."""
    from vesalius.errors import DataError, VesaliusError, unknown_name
    from vesalius.transform.pipeline import Step, find_step

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise DataError(f"--step cannot be understood ({error}): {text!r}") from None
    if not words or not all("=" in word for word in words[1:]):
        raise DataError(f'--step must be a name and arguments, as "gaussian sigma_mm=1", not {text!r}')
    name = words[0].replace("_", "-")
    known = {parameter.name: parameter for parameter in parameters(find_step(name))}
    texts = {}
    for word in words[1:]:
        key, _, value = word.partition("=")
        key = key.replace("-", "_")
        if key not in known:
            raise VesaliusError(unknown_name(f"argument of the step {name}", key, known))
        texts[key] = value
    arguments = {}
    for key, value in texts.items():
        learnt = _learnt(name, key, texts, before)
        try:
            arguments[key] = read_value(known[key], value) if learnt is None else learnt
        except DataError as error:
            raise DataError(f"the step {name}: {error}") from None
    return Step(name, arguments)


def _learnt(name: str, key: str, texts: Mapping[str, str], before: Sequence[Step]) -> tuple[float, ...] | None:
    """What the images that an argument names teach, after the steps before; ``None`` for a plain argument."""
    from vesalius.errors import DataError
    from vesalius.io import read
    from vesalius.transform.contrast import quantiles
    from vesalius.transform.pipeline import preprocess
    from vesalius.transform.scale import nyul_landmarks

    if (name, key) not in (("match-histogram", "reference"), ("nyul", "landmarks")):
        return None
    path = Path(texts[key])
    if key == "reference":
        if not path.exists():
            raise DataError(f"match-histogram: reference must be an image, and {path.name} does not exist")
        return quantiles(preprocess(read(path), before))
    if path.is_dir():
        over = {"over": texts["over"]} if "over" in texts else {}
        images = (preprocess(read(source.path), before) for source in _sources(path))
        return nyul_landmarks(images, **over)  # type: ignore[arg-type]  # it says which choices there are
    if path.is_file():
        return _numbers(path)
    return None


def _numbers(path: Path) -> tuple[float, ...]:
    from vesalius.errors import FormatError

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return tuple(float(number) for number in found)
    except (ValueError, TypeError, RecursionError):
        raise FormatError(f"{path.name}: landmarks are a JSON list of numbers, or a folder of images") from None


def _steps_told() -> str:
    import inspect
    import textwrap

    from vesalius.transform.pipeline import STEPS, find_step

    lines = ["steps:"]
    for name in STEPS:
        function = find_step(name)
        lines += textwrap.wrap(f"{name}: {summary(function)}", 100, initial_indent="  ", subsequent_indent="      ")
        for one in parameters(function):
            default = one.default
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
            value = "…" if default is inspect.Parameter.empty or default is None else shown
            lines += textwrap.wrap(
                f"{one.name}={value}  {one.help}", 100, initial_indent=" " * 6, subsequent_indent=" " * 10
            )
    return "\n".join(lines).replace("%", "%%")
