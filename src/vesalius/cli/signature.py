"""A function's signature and docstring as options of the command line, and their texts back as its arguments."""

from __future__ import annotations

import argparse
import inspect
import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from vesalius.errors import DataError, VesaliusError, unknown_name

if TYPE_CHECKING:
    from vesalius.image import Grid

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One keyword of a function.

    Args:
        name: As the function calls it.
        annotation: int, float, bool, str, Literal, tuple, a union of these, ``LabelMap`` or ``Volume``; resolved.
        default: What it is when left out; `inspect.Parameter.empty` where it must be given.
        help: What the docstring says of it, in one line.
    """

    name: str
    annotation: Any
    default: Any
    help: str

    @property
    def option(self) -> str:
        """Its name on the command line: ``--sigma-mm``."""
        return "--" + self.name.replace("_", "-")

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that it may have, without None."""
        members = get_args(self.annotation) if _is_union(self.annotation) else (self.annotation,)
        return tuple(member for member in members if member is not type(None))

    @property
    def optional(self) -> bool:
        """Whether it may be None."""
        return _is_union(self.annotation) and type(None) in get_args(self.annotation)


def parameters(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """The keywords of a function, in order, with their types and what its docstring says of them.

    Example:
        >>> def blur(image: int, *, sigma_mm: float = 1.0) -> int:
        ...     '''Blur.
        ...
        ...     Args:
        ...         image: What to blur.
        ...         sigma_mm: How much, mm.
        ...     '''
        >>> [(p.option, p.default, p.help) for p in parameters(blur)]
        [('--sigma-mm', 1.0, 'How much, mm.')]
    """
    hints = get_type_hints(function)
    told = _arguments_told(inspect.getdoc(function) or "")
    return tuple(
        Parameter(name, hints[name], parameter.default, told.get(name, ""))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    )


def summary(function: Callable[..., Any]) -> str:
    """The first sentence of a function's docstring, plain.

    Example:
        >>> summary(summary)
        "The first sentence of a function's docstring, plain."
    """
    return _plain((inspect.getdoc(function) or "").partition("\n\n")[0])


def description(function: Callable[..., Any]) -> str:
    """What a function's docstring says before its arguments, plain."""
    return _plain(re.split(r"\n\n(?:Args|Returns|Raises|Example):", inspect.getdoc(function) or "")[0])


def add_options(parser: argparse.ArgumentParser, function: Callable[..., Any], *, title: str) -> None:
    """Give a parser an option for each keyword of a function.

    Args:
        parser: What gets them; `read_options` reads what it finds.
        function: Its keywords are annotated with the types that `Parameter` lists.
        title: What stands above them in the help.
    """
    # argparse takes -160,240 for an option; with this, what begins like a number is a value.
    parser._negative_number_matcher = re.compile(r"^-[\d.]")
    group = parser.add_argument_group(title)
    for parameter in parameters(function):
        text = parameter.help.replace("%", "%%")
        if not (parameter.required or parameter.default is None):
            text = f"{text} (default {_shown(parameter.default)})".strip()
        if parameter.kinds == (bool,) and not parameter.required:
            group.add_argument(
                parameter.option, dest=_place(parameter), action=argparse.BooleanOptionalAction, default=None, help=text
            )
            continue
        group.add_argument(
            parameter.option,
            dest=_place(parameter),
            metavar=_metavar(parameter),
            required=parameter.required,
            help=text,
        )


def read_options(args: argparse.Namespace, function: Callable[..., Any], grid: Grid) -> dict[str, Any]:
    """The arguments that were given for a function's keywords; those left out are not among them.

    Args:
        args: What a parser with `add_options` found.
        function: The same as there.
        grid: The image's, for seeds.

    Raises:
        DataError: A text does not fit its keyword.
        VesaliusError: What reading a file of seeds or another image raises.
    """
    given = {p: getattr(args, _place(p), None) for p in parameters(function)}
    return {
        p.name: text if isinstance(text, bool) else read_value(p, text, grid=grid)
        for p, text in given.items()
        if text is not None
    }


def read_texts(function: Callable[..., Any], texts: Mapping[str, str], *, grid: Grid | None = None) -> dict[str, Any]:
    """The arguments that texts like ``{"sigma_mm": "1.5"}`` mean for a function's keywords.

    Args:
        function: Whose keywords they are.
        texts: By name; hyphens do for underscores.
        grid: The image's, for seeds.

    Raises:
        VesaliusError: The function has no such keyword.
        DataError: A text does not fit its keyword, or a keyword that is needed is missing.

    Example:
        >>> def blur(image: int, *, sigma_mm: float = 1.0, slow: bool = False) -> int: ...
        >>> read_texts(blur, {"sigma-mm": "2", "slow": "yes"})
        {'sigma_mm': 2.0, 'slow': True}
    """
    known = {p.name: p for p in parameters(function)}
    made = {}
    for name, text in texts.items():
        key = name.replace("-", "_")
        if key not in known:
            raise VesaliusError(unknown_name(f"option of {function.__name__}", name, known))
        made[key] = read_value(known[key], text, grid=grid)
    missing = [name for name, p in known.items() if p.required and name not in made]
    if missing:
        raise DataError(f"{function.__name__} needs {missing[0]}: {known[missing[0]].help}")
    return made


def read_value(parameter: Parameter, text: str, *, grid: Grid | None = None) -> Any:
    """What a text means for a keyword.

    Args:
        parameter: Says which types it may have; the first that fits is taken.
        text: Numbers as Python writes them, tuples with commas, true and false, ``none`` where None is allowed, a file
            for a volume, and for seeds what `vesalius.classical.read_seeds` takes.
        grid: The image's, for seeds.

    Raises:
        DataError: It fits none.

    Example:
        >>> read_value(Parameter("window_hu", tuple[float, float] | None, None, ""), "-160,240")
        (-160.0, 240.0)
    """
    if parameter.optional and text.strip().lower() == "none":
        return None
    for kind in parameter.kinds:
        try:
            return _value(kind, text, grid)
        except (ValueError, KeyError) as error:
            if isinstance(error, VesaliusError):
                raise
    raise DataError(f"{parameter.option} must be {_wanted(parameter)}, not {text!r}")


def _value(kind: Any, text: str, grid: Grid | None) -> Any:
    from vesalius.image import LabelMap, Volume

    if kind is LabelMap:
        from vesalius.classical.seeds import read_seeds

        assert grid is not None  # whoever offers seeds knows where
        return read_seeds(text, grid)
    if kind is Volume:
        from vesalius.io import read

        return read(text)
    if kind is bool:
        return _WORDS[text.strip().lower()]
    if kind is float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError
        return number
    if get_origin(kind) is Literal:
        return {str(choice): choice for choice in get_args(kind)}[text.strip()]
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind), text)
    return kind(text)


def _tuple(members: tuple[Any, ...], text: str) -> tuple[Any, ...]:
    parts = [part.strip() for part in text.split(",")]
    if members[-1] is Ellipsis:
        members = (members[0],) * len(parts)
    if len(members) != len(parts):
        raise ValueError
    return tuple(_value(member, part, None) for member, part in zip(members, parts, strict=True))


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _place(parameter: Parameter) -> str:
    return f"option_{parameter.name}"  # not among the verb's own: a method may have a parameter called json


def _metavar(parameter: Parameter) -> str:
    return "|".join(_word(kind) for kind in parameter.kinds)


def _word(kind: Any) -> str:
    """A type as the help shows it."""
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    if get_origin(kind) is tuple:
        members = get_args(kind)
        return f"{_word(members[0])},…" if members[-1] is Ellipsis else ",".join(map(_word, members))
    words = {"int": "N", "float": "X", "bool": "yes|no", "LabelMap": "SEEDS", "Volume": "IMAGE"}
    return words.get(kind.__name__, "TEXT")


def _wanted(parameter: Parameter) -> str:
    words = {"N": "a whole number", "X": "a number", "yes|no": "yes or no"}
    told = []
    for kind in parameter.kinds:
        if get_origin(kind) is Literal:
            told.append("one of " + ", ".join(map(str, get_args(kind))))
        elif get_origin(kind) is tuple:
            told.append(f"values with commas ({_word(kind)})")
        else:
            told.append(words.get(_word(kind), "a text"))
    return " or ".join(told) + (" or none" if parameter.optional else "")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _arguments_told(doc: str) -> dict[str, str]:
    """What the section Args of a docstring in Google style says, by name."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n(?=[ ]))*)", doc, re.MULTILINE)
    told: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else []:
        entry = re.match(r" {4}(\w+(?:, \w+)*)(?: \(.*?\))?: (.*)", line)
        if entry:
            names = entry[1].split(", ")
            told |= dict.fromkeys(names, entry[2])
        else:
            told |= {name: f"{told[name]} {line.strip()}" for name in names}
    return {name: _plain(text) for name, text in told.items()}


def _plain(text: str) -> str:
    """Without the marks of code, on one line."""
    return " ".join(re.sub(r"`+([^`]*)`+", r"\1", text).split())
