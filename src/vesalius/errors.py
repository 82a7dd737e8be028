"""The errors that Vesalius raises.

Every error that a user's data or command can cause is one of these, so that a caller can catch the tree at the
level that matters. A message says which argument or file, what it was, what is allowed and what to do; it never
holds a patient's name, identifier, date or a raw DICOM value.

```text
VesaliusError
├── GeometryError            an affine, shape or orientation that cannot be right, or two grids that do not match
├── FormatError              a file that cannot be read, or that says one thing and holds another
├── DataError                a data set that cannot serve: no cases, no reference, labels that were not declared
├── PlanError                a plan or budget that cannot be carried out
├── BundleError              a bundle that is damaged, incomplete or of another version
├── PrivacyError             a privacy rule that would be broken
└── MissingDependencyError   an optional package that the call needs and that is not installed
```
"""

import difflib
from collections.abc import Iterable


class VesaliusError(Exception):
    """The root of all errors that Vesalius raises on purpose."""


class GeometryError(VesaliusError, ValueError):
    """An affine, a shape or an orientation cannot be right, or two grids do not match."""


class FormatError(VesaliusError, ValueError):
    """A file cannot be read as what it claims to be."""


class DataError(VesaliusError, ValueError):
    """A data set cannot serve the purpose: empty, without references, with labels that were not declared."""


class PlanError(VesaliusError, ValueError):
    """A plan or a budget cannot be carried out."""


class BundleError(VesaliusError, ValueError):
    """A bundle is damaged, incomplete or of a version that this release cannot read."""


class PrivacyError(VesaliusError):
    """A privacy rule would be broken."""


class MissingDependencyError(VesaliusError, ImportError):
    """An optional package is needed and is not installed."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Word the message for a name that is not in a table: it lists the known names and the nearest.

    Args:
        kind: What was named, for example ``"architecture"``.
        name: The name as it was given.
        known: The names that exist.

    Returns:
        One sentence or two, ready to be raised.

    Example:
        >>> unknown_name("metric", "dise", ["dice", "iou"])
        "unknown metric 'dise': did you mean 'dice'? Known: dice, iou"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}Known: {', '.join(names)}"
