"""DICOM images: what a folder holds, and one series of it as a `Volume`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.io.dicom.series import Series, list_series, read_series

__all__ = ["Series", "list_series", "read_series"]


def __getattr__(name: str) -> Any:
    # Loading pydicom takes longer than `import vesalius` may.
    if name in __all__:
        from vesalius.io.dicom import series

        return getattr(series, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
