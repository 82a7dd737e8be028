"""Preprocessing as a list of steps that is saved, hashed and replayed.

A step is a function ``step(volume, *, ...) -> Volume`` whose arguments JSON can hold; to add one, write it and give it
a line in `STEPS`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vesalius.errors import DataError, FormatError, VesaliusError, unknown_name
from vesalius.image import Volume
from vesalius.io.atomic import atomic_path

STEPS: dict[str, str] = {
    "grey": "grey",
    "orient": "placement",
    "isotropic": "placement",
    "gaussian": "denoise",
    "median": "denoise",
    "bilateral": "denoise",
    "anisotropic-diffusion": "diffusion",
    "non-local-means": "non_local_means",
    "window": "contrast",
    "gamma": "contrast",
    "equalise": "contrast",
    "match-histogram": "contrast",
    "clahe": "contrast",
    "z-score": "scale",
    "percentile": "scale",
    "nyul": "scale",
    "white-stripe": "scale",
    "suv": "scale",
    "n4": "bias",
    "fundus": "fundus",
    "body": "body",
    "brain": "body",
}
"""Name of a step to its module here; the function has the name with underscores."""

CUSTOMS = 1
"""The customs of all steps together: raised when one of them comes to make something else of the same arguments."""

_FORMAT = "vesalius preprocessing pipeline"
_LARGEST = 1 << 24  # bytes of a pipeline's file: quantiles and landmarks take a few thousand


@dataclass(frozen=True)
class Step:
    """A step and its arguments.

    Args:
        name: A key of `STEPS`; underscores do for hyphens.
        arguments: By name; those left out are filled in with their defaults, so that a pipeline says all that it does.

    Raises:
        VesaliusError: The step, or one of its arguments, is unknown.
        DataError: An argument has the wrong type, or a necessary one is missing.

    Example:
        >>> Step("gaussian", {"sigma_mm": 2}).arguments
        {'sigma_mm': 2.0}
        >>> Step("gaussian", {"sigma": 2})
        Traceback (most recent call last):
        vesalius.errors.VesaliusError: unknown argument of the step gaussian 'sigma': did you mean 'sigma_mm'? ...
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.name.replace("_", "-")
        function = find_step(name)
        hints = get_type_hints(function)
        keywords = {
            key: parameter
            for key, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        for key in self.arguments:
            if key not in keywords:
                raise VesaliusError(unknown_name(f"argument of the step {name}", key, keywords))
        made = {}
        for key, parameter in keywords.items():
            if key in self.arguments:
                made[key] = _fitted(hints[key], self.arguments[key], f"the step {name}: {key}")
            elif parameter.default is inspect.Parameter.empty:
                raise DataError(f"the step {name} needs {key}")
            else:
                made[key] = parameter.default
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "arguments", made)


@dataclass(frozen=True)
class Pipeline:
    """Steps that are taken one after the other.

    The same pipeline makes of the same image the same bytes. Its arguments lie in it, references to other files do
    not: a histogram to match is there as quantiles, Nyúl's scale as landmarks.

    Args:
        steps: In their order; at least one.

    Raises:
        DataError: There is no step.

    Example:
        >>> pipeline = Pipeline((Step("median"), Step("z-score", {"over": "nonzero"})))
        >>> Pipeline.from_json(pipeline.to_json()) == pipeline
        True
        >>> len(pipeline.sha256)
        64
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        if not self.steps:
            raise DataError(f"a pipeline needs a step: one of {', '.join(STEPS)}")

    @property
    def sha256(self) -> str:
        """Of its steps, arguments and customs: equal where the same is done."""
        canonical = json.dumps(self._told(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> str:
        """As text for people and machines; the same pipeline gives the same text."""
        return json.dumps(self._told(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Pipeline:
        """Build a pipeline from its text.

        Raises:
            FormatError: The text is no pipeline, or one with other customs.
            VesaliusError: As for `Step`.
        """
        try:
            told = json.loads(text)
            customs, steps = told["customs"], [(step["name"], step["arguments"]) for step in told["steps"]]
            is_ours = told["format"] == _FORMAT and all(isinstance(n, str) and isinstance(a, dict) for n, a in steps)
        except (ValueError, KeyError, TypeError, RecursionError):
            is_ours = False
        if not is_ours:
            raise FormatError("not a preprocessing pipeline: `vesalius preprocess --save` writes one")
        if customs != CUSTOMS:
            raise FormatError(
                f"the pipeline was written with customs {customs}, and this release computes with {CUSTOMS}: it would "
                "not make the same images; use the release that wrote it, or write it anew"
            )
        return cls(tuple(Step(name, arguments) for name, arguments in steps))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Pipeline:
        """Read a pipeline that `save` wrote.

        Raises:
            FormatError: The file cannot be read or is no pipeline.
        """
        where = Path(path)
        try:
            if where.stat().st_size > _LARGEST:
                raise FormatError(f"{where.name}: too large for a pipeline")
            return cls.from_json(where.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise FormatError(f"{where.name}: the file cannot be read: {reason}") from error
        except VesaliusError as error:
            raise type(error)(f"{where.name}: {error}" if where.name not in str(error) else str(error)) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    def _told(self) -> dict[str, Any]:
        steps = [{"name": step.name, "arguments": dict(step.arguments)} for step in self.steps]
        return {"format": _FORMAT, "customs": CUSTOMS, "steps": steps}


def preprocess(volume: Volume, pipeline: Pipeline | Iterable[Step]) -> Volume:
    """Take the steps of a pipeline, one after the other.

    Args:
        volume: The image.
        pipeline: What to do; or only its steps, of which there may be none.

    Returns:
        The image after the last step.

    Raises:
        VesaliusError: A step cannot be taken; the message says which. The type is that of the step's own error.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.array([[[0.0, 5.0, 10.0]]]), Grid.from_spacing((1, 3), (1.0, 1.0)))
        >>> steps = [Step("gamma", {"exponent": 2.0}), Step("window", {"centre": 5.0, "width": 10.0})]
        >>> preprocess(volume, steps).array[0, 0].tolist()
        [0.0, 0.25, 1.0]
    """
    steps = pipeline.steps if isinstance(pipeline, Pipeline) else tuple(pipeline)
    for number, step in enumerate(steps, start=1):
        try:
            volume = find_step(step.name)(volume, **step.arguments)
        except VesaliusError as error:
            raise type(error)(f"step {number} ({step.name}): {error}") from error
    return volume


def find_step(name: str) -> Callable[..., Volume]:
    """The function of a step.

    Args:
        name: A key of `STEPS`.

    Raises:
        VesaliusError: No step has this name.

    Example:
        >>> find_step("gaussiann")
        Traceback (most recent call last):
        vesalius.errors.VesaliusError: unknown preprocessing step 'gaussiann': did you mean 'gaussian'? ...
    """
    if name not in STEPS:
        raise VesaliusError(unknown_name("preprocessing step", name, STEPS))
    function: Callable[..., Volume] = getattr(
        import_module(f"vesalius.transform.{STEPS[name]}"), name.replace("-", "_")
    )
    return function


def _fitted(annotation: Any, value: Any, what: str) -> Any:
    """The value in the type that is asked for: lists become tuples, whole numbers floats."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    for kind in kinds:
        fits, made = _taken(kind, value)
        if fits:
            return made
    raise DataError(
        f"{what} must be {' or '.join(_worded(kind) for kind in kinds if kind is not Volume)}, not {value!r}"
    )


def _taken(kind: Any, value: Any) -> tuple[bool, Any]:
    if kind is type(None):
        return value is None, None
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind), value
    if get_origin(kind) is tuple:
        member = get_args(kind)[0]
        taken = [_taken(member, one) for one in value] if isinstance(value, (list, tuple)) else [(False, None)]
        return all(fits for fits, _ in taken), tuple(made for _, made in taken)
    if kind is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return fits, float(value) if fits else value
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    return kind in (bool, str) and isinstance(value, kind), value


def _worded(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a list, each {_worded(get_args(kind)[0])}"
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", type(None): "null"}
    return words.get(kind, "something else")
