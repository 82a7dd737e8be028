"""DICOM images: what a folder holds, and one series of it as a `Volume`; and the objects that are derived from them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.io.dicom.capture import draw, write_capture
    from vesalius.io.dicom.contours import read_rtstruct, read_structures
    from vesalius.io.dicom.image_series import write_series
    from vesalius.io.dicom.model import read_model, write_model
    from vesalius.io.dicom.origin import Origin, read_origin
    from vesalius.io.dicom.parametric import read_parametric_map, write_parametric_map
    from vesalius.io.dicom.report import read_report, write_report
    from vesalius.io.dicom.segmentation import write_seg
    from vesalius.io.dicom.segments import read_fractions, read_seg
    from vesalius.io.dicom.series import Series, list_series, read_series
    from vesalius.io.dicom.structures import write_rtstruct

__all__ = [
    "Origin",
    "Series",
    "draw",
    "list_series",
    "read_fractions",
    "read_model",
    "read_origin",
    "read_parametric_map",
    "read_report",
    "read_rtstruct",
    "read_seg",
    "read_series",
    "read_structures",
    "write_capture",
    "write_model",
    "write_parametric_map",
    "write_report",
    "write_rtstruct",
    "write_seg",
    "write_series",
]

_HOMES = {
    "Origin": "origin",
    "Series": "series",
    "draw": "capture",
    "list_series": "series",
    "read_fractions": "segments",
    "read_model": "model",
    "read_origin": "origin",
    "read_parametric_map": "parametric",
    "read_report": "report",
    "read_rtstruct": "contours",
    "read_seg": "segments",
    "read_series": "series",
    "read_structures": "contours",
    "write_capture": "capture",
    "write_model": "model",
    "write_parametric_map": "parametric",
    "write_report": "report",
    "write_rtstruct": "structures",
    "write_seg": "segmentation",
    "write_series": "image_series",
}


def __getattr__(name: str) -> Any:
    # Loading pydicom takes longer than `import vesalius` may.
    if name in _HOMES:
        return getattr(importlib.import_module(f"vesalius.io.dicom.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
