"""What is done with what arrives: rules in a file, TOML or JSON."""

from __future__ import annotations

import fnmatch
import json
import logging
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.errors import DataError, FormatError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Volume
from vesalius.server.described import LEVELS
from vesalius.server.node.peers import Peer

if TYPE_CHECKING:
    from vesalius.bundle.calibration import Calibration

log = logging.getLogger(__name__)

Segment = Callable[[Volume], LabelMap]
"""The step in the middle: an image of the series' grid in, labels on the same grid out."""


@dataclass(frozen=True, eq=False)
class Promising:
    """A step in the middle of which it is known how wrong its sizes may be.

    Args:
        step: That finds the labels.
        calibration: What is promised of their sizes.
    """

    step: Segment
    calibration: Calibration

    def __call__(self, image: Volume) -> LabelMap:
        """The labels of an image."""
        return self.step(image)


RESULTS = ("segmentation", "report", "contours")
"""What a rule can make: DICOM SEG, SR with measurements (TID 1500), RTSTRUCT; sent in this order."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_LARGEST = 1 << 20  # bytes of a file of rules


@dataclass(frozen=True)
class Rule:
    """Which series are segmented, with what, and who gets the results.

    Args:
        name: Lower-case letters, digits, hyphens. It is part of what makes a result the same result: a series that a
            rule has seen is not done again, unless images come to it or the rule gets another name.
        when: DICOM keyword of the study or series to a pattern (``*`` and ``?``; case does not matter); all must fit.
        segment: ``{"bundle": path or built-in name}``, or ``{"method": name, …}`` of `vesalius.classical` and its
            arguments.
        send_to: Names of peers.
        results: Of `RESULTS`.
        images: A series of fewer objects is left alone (localizers).
        settle_s: A series is taken as complete when nothing has come to it for so long and no association that
            brought something to it is open: DICOM has no word for it.
        commit: Ask the peers for storage commitment afterwards; what they do not have is sent again.

    Raises:
        VesaliusError: A keyword, method or result is unknown.
        DataError: Something else cannot be right.

    Example:
        >>> rule = Rule("chest-ct", {"Modality": "CT"}, {"method": "otsu"}, ("pacs",))
        >>> rule.results
        ('segmentation', 'report')
    """

    name: str
    when: Mapping[str, str]
    segment: Mapping[str, Any]
    send_to: tuple[str, ...]
    results: tuple[str, ...] = ("segmentation", "report")
    images: int = 1
    settle_s: float = 30.0
    commit: bool = False

    def __post_init__(self) -> None:
        # What a file says is of any kind, whatever is written above.
        said: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        if not isinstance(said["name"], str) or not _NAME.fullmatch(self.name):
            raise DataError("a rule needs a name of lower-case letters, digits and hyphens, at most 64")
        where = f"the rule {self.name}"
        known = (*LEVELS["study"], *LEVELS["series"])
        if not isinstance(said["when"], Mapping) or not self.when:
            raise DataError(f"{where}: `when` names keywords and patterns, for example Modality = 'CT'")
        for keyword, pattern in said["when"].items():
            if keyword not in known:
                raise VesaliusError(f"{where}: {unknown_name('keyword', keyword, known)}")
            if not isinstance(pattern, str):
                raise DataError(f"{where}: the pattern for {keyword} must be a text")
        for name in ("send_to", "results"):
            if not isinstance(said[name], (list, tuple)) or not all(isinstance(one, str) for one in said[name]):
                raise DataError(f"{where}: {name} must be a list of names")
            object.__setattr__(self, name, tuple(said[name]))
        for result in self.results:
            if result not in RESULTS:
                raise VesaliusError(f"{where}: {unknown_name('result', result, RESULTS)}")
        if not self.results or not self.send_to:
            raise DataError(f"{where}: results and send_to name one thing at least each")
        if type(said["images"]) is not int or self.images < 1:
            raise DataError(f"{where}: images must be a whole number from 1")
        if type(said["settle_s"]) not in (int, float) or not 0 <= self.settle_s < math.inf:
            raise DataError(f"{where}: settle_s must be a number of seconds")
        if type(said["commit"]) is not bool:
            raise DataError(f"{where}: commit must be true or false")
        _check_segment(said["segment"], where)

    def fits(self, headers: Mapping[str, Any]) -> bool:
        """Whether a series is meant.

        Args:
            headers: Keyword to values, from `values_of`.
        """
        return all(
            any(fnmatch.fnmatchcase(value.casefold(), pattern.casefold()) for value in headers.get(keyword, ("",)))
            for keyword, pattern in self.when.items()
        )


@dataclass(frozen=True)
class Rules:
    """All rules, and the peers that they name.

    Args:
        peers: Name to peer.
        rules: Those whose names differ.

    Raises:
        DataError: Two rules have one name, two peers one AE title, or a rule names a peer that there is not.
    """

    peers: Mapping[str, Peer] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise DataError("two rules have the same name; what a series was done with would not be known")
        titles = [peer.ae_title for peer in self.peers.values()]
        if len(set(titles)) < len(titles):
            raise DataError("two peers have the same AE title; who reports on a commitment would not be known")
        for rule in self.rules:
            for peer in rule.send_to:
                if peer not in self.peers:
                    raise DataError(f"the rule {rule.name}: {unknown_name('peer', peer, self.peers)}")

    def named(self, name: str) -> Rule | None:
        """The rule of a name; None when it is gone."""
        return next((rule for rule in self.rules if rule.name == name), None)


def read_rules(path: Path | str) -> Rules:
    """Read rules from a file.

    Args:
        path: TOML, or JSON where the name ends in ``.json``: a table ``peers`` of ``{ae_title, host, port}`` and a list
            ``rules`` of what `Rule` takes.

    Raises:
        FormatError: The file cannot be read or holds something else.
        DataError: A rule or a peer cannot be right.

    Example:
        >>> import tempfile
        >>> text = '''
        ... [peers.pacs]
        ... ae_title = "PACS"
        ... host = "10.0.0.7"
        ... port = 104
        ... [[rules]]
        ... name = "chest-ct"
        ... when = { Modality = "CT", BodyPartExamined = "CHEST" }
        ... segment = { method = "threshold", tissue = "lung" }
        ... send_to = ["pacs"]
        ... '''
        >>> with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        ...     _ = Path(file.name).write_text(text)
        ...     read_rules(file.name).rules[0].when
        {'Modality': 'CT', 'BodyPartExamined': 'CHEST'}
    """
    place = Path(path)
    try:
        with place.open("rb") as file:
            read = file.read(_LARGEST + 1)
        text = read.decode("utf-8") if len(read) <= _LARGEST else "\0"
        said = json.loads(text) if place.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise FormatError(f"{place.name}: the rules cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise FormatError(
            f"{place.name}: not a file of rules: it is neither JSON nor TOML, or longer than 1 MiB"
        ) from None
    if not isinstance(said, dict):
        raise FormatError(f"{place.name}: not a file of rules: it holds no tables")
    _known(said, ("peers", "rules"), place.name)
    peers, rules = said.get("peers", {}), said.get("rules", [])
    if not isinstance(peers, dict) or not isinstance(rules, list):
        raise FormatError(f"{place.name}: peers is a table, and rules a list of tables")
    made = Rules({name: _made(Peer, one, f"the peer {name}") for name, one in peers.items()})
    return Rules(made.peers, tuple(_made(Rule, one, f"rule {n}") for n, one in enumerate(rules, start=1)))


def segmenter_of(rule: Rule) -> Segment:
    """The step in the middle of a rule, ready for many images.

    Args:
        rule: What it names is loaded at once, so that a mistake shows when the node starts.

    Returns:
        A function that gives labels on the image's own grid; that of a bundle which is calibrated is `Promising`.

    Raises:
        VesaliusError: The bundle cannot be loaded, or the method does not take such arguments.
    """
    segment = dict(rule.segment)
    if "bundle" in segment:
        from vesalius.predict import load_segmenter
        from vesalius.predict import segment as predict

        place = segment.pop("bundle")
        segmenter = load_segmenter(place, **segment)
        tell = _withdrawals(rule, place, str(segment.get("backend", "")))

        def segmented(image: Volume) -> LabelMap:
            tell()
            return predict(image, segmenter).labels

        promised = segmenter.bundle.card.calibration
        return segmented if promised is None else Promising(segmented, promised)
    import inspect

    from vesalius.classical import find

    method = find(segment.pop("method"))
    takes = [
        name for name, one in inspect.signature(method).parameters.items() if one.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for name in segment:
        if name not in takes:
            raise VesaliusError(f"the rule {rule.name}: {unknown_name('argument', name, takes)}")
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in segment.items()}
    return lambda image: method(image, **arguments)


def _withdrawals(rule: Rule, bundle: str, backend: str) -> Callable[[], None]:
    """Says in the log that a rule's bundle, or the export that computes it, is marked: now, and when more withdraw.

    A node runs for months; the mark is made meanwhile, and read with every image.
    """
    from vesalius.bundle.lineage import read_provenance, withdrawal_words, withdrawn_from

    places = [place for place in (Path(bundle), Path(backend)) if place.name and place.exists()]
    known = dict.fromkeys(places, 0)

    def tell() -> None:
        for place in places:
            try:
                count = withdrawn_from(read_provenance(place))
            except VesaliusError:
                continue  # it was loaded, and is gone or being written anew: what was said stands
            if count > known[place]:
                known[place] = count
                log.warning("%s: %s: %s", rule.name, place.name, withdrawal_words(count))

    tell()
    return tell


def values_of(headers: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Keyword to values, as texts, out of the DICOM JSON of the index.

    Example:
        >>> values_of(['{"00080060": {"vr": "CS", "Value": ["CT"]}}'])
        {'Modality': ('CT',)}
    """
    from pydicom.datadict import keyword_for_tag

    found: dict[str, tuple[str, ...]] = {}
    for header in headers:
        for tag, element in json.loads(header).items():
            values = element.get("Value", [])
            texts = [one.get("Alphabetic", "") if isinstance(one, dict) else str(one) for one in values]
            found[keyword_for_tag(tag)] = tuple(texts) or ("",)
    return found


def _check_segment(said: Any, where: str) -> None:
    from vesalius.classical import METHODS

    named = {"bundle", "method"} & set(said) if isinstance(said, Mapping) else set()
    if len(named) != 1 or not isinstance(said[min(named)], str):
        raise DataError(f"{where}: segment names a bundle or a method")
    if "method" in named and said["method"].replace("_", "-") not in METHODS:
        raise VesaliusError(f"{where}: {unknown_name('method', said['method'], METHODS)}")
    if "bundle" in named and set(said) - {"bundle", "device", "backend"}:
        raise DataError(f"{where}: beside a bundle stand device and backend only")


def _known(said: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for name in said:
        if name not in set(known):
            raise VesaliusError(f"{where}: {unknown_name('entry', name, known)}")


def _made(kind: Any, said: Any, where: str) -> Any:
    if not isinstance(said, dict):
        raise DataError(f"{where}: must be a table")
    _known(said, [one.name for one in fields(kind)], where)
    try:
        return kind(**said)
    except TypeError:
        raise DataError(f"{where}: something is missing or of the wrong kind") from None
