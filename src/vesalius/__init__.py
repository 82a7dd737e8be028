"""Medical image segmentation that plans itself to the data, the time and the memory that are there.

The public face of the package. A name is imported when it is first used (PEP 562), so that ``import vesalius`` stays
fast and brings in no torch.

Example:
    >>> import vesalius
    >>> vesalius.Grid((2, 3), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]).spacing_mm
    (1.0, 1.0)
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Budget": "vesalius.plan",
    "Bundle": "vesalius.bundle",
    "Case": "vesalius.image",
    "Dataset": "vesalius.image",
    "Grid": "vesalius.image",
    "LabelMap": "vesalius.image",
    "Labels": "vesalius.image",
    "Plan": "vesalius.plan",
    "Prediction": "vesalius.predict.segment",
    "Scores": "vesalius.metrics",
    "VesaliusError": "vesalius.errors",
    "Volume": "vesalius.image",
    "deidentify": "vesalius.privacy.folder",
    "evaluate": "vesalius.metrics",
    "fingerprint": "vesalius.plan",
    "fit": "vesalius.train.fit",
    "index": "vesalius.io.layouts",
    "make_plan": "vesalius.plan",
    "read": "vesalius.io",
    "read_labels": "vesalius.io",
    "segment": "vesalius.predict.segment",
    "write": "vesalius.io",
}

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.errors import VesaliusError
    from vesalius.image import Case, Dataset, Grid, LabelMap, Labels, Volume
    from vesalius.io import read, read_labels, write
    from vesalius.io.layouts import index
    from vesalius.metrics import Scores, evaluate
    from vesalius.plan import Budget, Plan, fingerprint, make_plan
    from vesalius.predict.segment import Prediction, segment
    from vesalius.privacy.folder import deidentify
    from vesalius.train.fit import fit

__all__ = [
    "Budget",
    "Bundle",
    "Case",
    "Dataset",
    "Grid",
    "LabelMap",
    "Labels",
    "Plan",
    "Prediction",
    "Scores",
    "VesaliusError",
    "Volume",
    "deidentify",
    "evaluate",
    "fingerprint",
    "fit",
    "index",
    "make_plan",
    "read",
    "read_labels",
    "segment",
    "write",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
