"""The optional packages behind the classical methods."""

from __future__ import annotations

import importlib
from typing import Any

from vesalius.errors import MissingDependencyError

_PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn", "SimpleITK": "SimpleITK"}


def needed(module: str) -> Any:
    """Import a module of the extra ``classical``.

    Args:
        module: For example ``"skimage.segmentation"``.

    Returns:
        The module.

    Raises:
        MissingDependencyError: Its package is not installed.

    Example:
        >>> needed("skimage.filters").__name__
        'skimage.filters'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = _PACKAGES.get(module.partition(".")[0], module)
        raise MissingDependencyError(f"this method needs {package}: pip install 'vesalius[classical]'") from error
