"""One executable, ``vesalius``, and one file a verb: parse, call one library function, print.

A verb is a module with ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``; to add one, write the file and
give it a line in `VERBS`. Only the module of the verb that was asked for is imported, and it imports what is heavy
inside ``run``: that keeps every ``--help`` fast.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import importlib
import json
import keyword
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from vesalius import __version__
from vesalius.cli.accountable import run_accountably
from vesalius.cli.lent import READERS, add_key, run_lent
from vesalius.errors import VesaliusError, unknown_name

VERBS = {
    "demo": "segment a brain and train a small segmenter, with nothing but what is installed",
    "index": "recognise a data set, check every case, say what is left out and why",
    "plan": "say how a segmenter would be trained within a budget, with a reason for every decision",
    "fit": "train a segmenter within a budget of time and memory",
    "tune": "search the recipe by short trainings, and write the best one as a plan",
    "segment": "segment images with a trained segmenter",
    "stream": "segment a camera, a video, a DICOM cine or a folder of pictures as it plays",
    "export": "write a segmenter for another runtime: ONNX, OpenVINO, phones, browsers, MONAI",
    "import": "turn a model that nnU-Net or MONAI trained into a segmenter",
    "preprocess": "denoise, correct and scale images by a list of steps that can be saved and replayed",
    "classical": "segment without training: thresholds, regions, boundaries, clusters",
    "pixels": "classify voxels by their neighbourhood: trained from a few scribbles in seconds",
    "register": "bring an image onto another's anatomy: turn and shift it, scale it, or bend it smoothly",
    "measure": "measure structures: volume, diameters, mean HU or SUV, as a table or a DICOM report",
    "change": "compare two scans of a patient: volumes, how far each place of a surface has moved, tissue's growth",
    "stack": "make one label map of slices that were segmented one by one: aligned, gaps filled, interpolated between",
    "mesh": "turn a label map into closed, smooth surfaces, or mend those of a mesh file, and prove them sound",
    "print": "make surfaces ready for a printer: scale, base, cut, hollow, and prove that they can be printed",
    "render": "draw structures as surfaces, from the patient's sides: a picture, or a turn-table as GIF or video",
    "picture": "draw an image: slices, a montage or a projection, with structures over it; a turn as GIF or video",
    "convert": "convert images, label maps and DICOM objects between all formats that are known",
    "evaluate": "score predictions against references",
    "calibrate": "say from labelled cases how wrong a segmenter's sizes may be, and write it on its card",
    "show": "describe a trained segmenter, a plan or an image",
    "study": "do a classical task of the field from public data, end to end",
    "models": "list the segmenters that come with the package",
    "deidentify": "take out what says who the patients are, and hold back what is not certain",
    "vault": "keep a data set encrypted at rest",
    "consent": "keep the register of patients' consent, and name the bundles that a withdrawal concerns",
    "audit": "keep and verify the audit chain of who did what",
    "access": "say who may do what with shared data",
    "dicom-node": "a DICOM node: receive, segment by rules, send back; ask others what they have",
}

_DONE, _FAILED, _WRONG_USE = 0, 1, 2


class Verb(Protocol):
    """What the module of a verb offers."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the verb; ``--json`` and ``--verbose`` are there already."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``vesalius`` with some arguments.

    Results go to standard output, progress and errors to standard error. With ``--json`` standard output holds one JSON
    object and nothing else, for an error ``{"error": {"type": …, "message": …}}``.

    An error that nobody foresaw is told by its type and place only, and warnings of other libraries are not shown:
    their texts may quote the patient's data. ``--verbose`` shows both in full.

    Args:
        argv: The arguments without the program's name; those of the process when left out.

    Returns:
        The exit code: 0 done, 1 it failed, 2 wrong use.

    Example:
        >>> main(["--version"])
        vesalius ...
        0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _spin_briefly()
    try:
        args, verb = _parse(arguments)
    except SystemExit as ended:  # how argparse ends after --help, --version and wrong use
        return int(ended.code or 0)
    try:
        with warnings.catch_warnings():
            if not args.verbose:
                warnings.simplefilter("ignore")
            code = run_accountably(args, lambda args: run_lent(args, verb.run))
        sys.stdout.flush()  # a closed pipe shows here, not after main
    except BrokenPipeError:
        _drop_stdout()
        return _FAILED
    except (Exception, KeyboardInterrupt) as error:
        _report(error, as_json=args.json, verbose=args.verbose)
        return _FAILED
    return code


def module_of(verb: str) -> str:
    """The module of a verb: of its name, with underscores for hyphens and where Python has a word of this name.

    Example:
        >>> module_of("import"), module_of("dicom-node"), module_of("print")
        ('vesalius.cli.import_', 'vesalius.cli.dicom_node', 'vesalius.cli.print_')
    """
    # A module `print` would hide the function of this name from the package's own code.
    taken = keyword.iskeyword(verb) or hasattr(builtins, verb)
    return f"vesalius.cli.{verb.replace('-', '_')}{'_' if taken else ''}"


def _spin_briefly() -> None:
    """Let threads that wait for one another spin for some microseconds, then sleep.

    OpenMP reads this when torch is loaded. By default they spin for milliseconds, and beside other programs take from
    the thread that they wait for the core that it needs: steps took four to fifty times as long. Sleeping at once costs
    three quarters of a step's time on an idle machine, where waking up is slow (benchmarks/README.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, Verb]:
    parser = argparse.ArgumentParser(
        prog="vesalius",
        description="Turn medical images and a few labels into a segmenter, within the time and memory there are.",
        epilog="`vesalius VERB --help` explains a verb. For research use only.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vesalius {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    parsers = {
        name: verbs.add_parser(name, help=line, description=line, allow_abbrev=False) for name, line in VERBS.items()
    }
    name = next((a for a in arguments if not a.startswith("-")), None)
    if name is None:
        parser.parse_args(arguments)  # --help, --version, or no verb: it ends here
    if name not in VERBS:
        parser.error(unknown_name("verb", str(name), VERBS))

    verb = cast(Verb, importlib.import_module(module_of(name)))
    chosen = parsers[name]
    chosen.description = verb.HELP
    chosen.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    chosen.add_argument("--verbose", action="store_true", help="show tracebacks and the warnings of libraries")
    verb.add_arguments(chosen)
    if name in READERS:
        add_key(chosen)
    return parser.parse_args(arguments), verb


def _report(error: BaseException, *, as_json: bool, verbose: bool) -> None:
    """Tell an error: on standard error for people, as JSON on standard output for machines."""
    message = _message(error)
    if verbose:
        import traceback

        traceback.print_exception(error)
    with contextlib.suppress(BrokenPipeError):
        if as_json:
            print(json.dumps({"error": {"type": type(error).__name__, "message": message}}))
        print(f"vesalius: error: {message}", file=sys.stderr)


def _message(error: BaseException) -> str:
    if isinstance(error, VesaliusError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, MemoryError):
        return "out of memory; try smaller images or a smaller --memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place is not None else ""
    return f"unexpected {type(error).__name__}{where}; this is a defect, run again with --verbose to see the traceback"


def _drop_stdout() -> None:
    """Send what is left in the buffer nowhere, so that the interpreter does not complain when it closes."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
