"""Put the figures of scores.json into the READMEs of the recipes: ``python models/tables.py [--check]``.

What stands between the two marks of a README is written anew from the scores.json beside it; it is never typed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vesalius.errors import FormatError
from vesalius.io.atomic import write_text
from vesalius.metrics import METRICS

HERE = Path(__file__).parent
BEGIN, END = "<!-- scores: begin -->", "<!-- scores: end -->"
NOT_YET = """Not measured yet, and so nothing is claimed. The command above writes `scores.json`, and
`python models/tables.py` puts its figures here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill all READMEs that have the marks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a README is not up to date")
    args = parser.parse_args(arguments)
    stale = []
    for readme in sorted(HERE.glob("*/README.md")):
        text = readme.read_text(encoding="utf-8")
        if BEGIN not in text:
            continue
        scores = readme.with_name("scores.json")
        made = filled(text, block(json.loads(scores.read_text(encoding="utf-8")) if scores.is_file() else None))
        if made != text:
            stale.append(readme.parent.name)
            if not args.check:
                write_text(readme, made)
    if stale:
        sys.stdout.write(f"{'not up to date' if args.check else 'filled'}: {', '.join(stale)}\n")
    return int(args.check and bool(stale))


def filled(text: str, inside: str) -> str:
    """A README with something else between its marks.

    Raises:
        FormatError: The marks are not there once each, in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise FormatError(f"a README needs the marks {BEGIN} and {END} once each, in this order")
    return f"{before}{BEGIN}\n\n{inside}\n\n{END}{after}"


def block(told: Mapping[str, Any] | None) -> str:
    """What is said of the scores; that there are none, where they are not there."""
    if told is None:
        return NOT_YET
    return "\n\n".join(_parts(told))


def _parts(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"**The run:** {told['training']}. **Scored on** {told['scores_on']}."
    others = [name for name in next(iter(told["metrics"].values())) if name != "dice"]
    rows = [["structure", "Dice", "95 % interval", *(_titled(name) for name in others)]]
    for label, dice in told["scores"].items():
        values = told["metrics"].get(label, {})
        rows.append([label, f"{dice:.3f}", _interval(told["intervals"].get(label)), *(_number(values.get(n))
                     for n in others)])  # fmt: skip
    yield _table(rows)
    if not told["intervals"]:
        yield "No interval is given for fewer than five persons."
    for group, parts in told["subgroups"].items():
        rows = [[group, "cases", "Dice, mean", "95 % interval"]]
        rows += [
            [value, str(one["cases"]), _number(one["scores"].get("mean")), _interval(one["intervals"].get("mean"))]
            for value, one in parts.items()
        ]
        yield _table(rows)
    agreed = {name: one for name, one in told["measures"].items() if "bias" in one}
    if agreed:
        rows = [["measured", "cases", "not found", "mean absolute difference", "bias", "limits of agreement"]]
        rows += [
            [f"{name}, {one['unit']}", str(one["n"]), str(one["undefined"]),
             *(_number(one[field], 2) for field in ("mean_absolute_difference", "bias")),
             "–" if None in one["limits"] else " to ".join(_number(limit, 2) for limit in one["limits"])]
            for name, one in agreed.items()
        ]  # fmt: skip
        yield _table(rows)
    for name, one in told["measures"].items():
        if "mean" in one:
            yield f"{name}: {_number(one['mean'])}."


def _titled(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.title}, {metric.unit}" if metric.unit else metric.title


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(both: Sequence[float] | None) -> str:
    return "–" if both is None else f"{both[0]:.3f} to {both[1]:.3f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    rule = f"| --- |{' ---: |' * (len(rows[0]) - 1)}"
    return "\n".join([lines[0], rule, *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
