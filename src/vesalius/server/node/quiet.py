"""pynetdicom as this node wants it: silent, and sending files as they are."""

from __future__ import annotations

import logging
import warnings

from vesalius.errors import MissingDependencyError


def prepare() -> None:
    """Set what pynetdicom keeps for the whole process.

    Its log tells of identifiers and of errors in the words of whatever raised them, which can hold a patient's data:
    nothing of it is let through, nor of pydicom's log and warnings, which quote what peers send. Files are sent as they
    are on disk, without being decoded.

    Raises:
        MissingDependencyError: pynetdicom is not installed.
    """
    try:
        from pynetdicom import _config
    except ImportError:
        raise MissingDependencyError("the DICOM network needs pynetdicom: pip install 'vesalius[server]'") from None
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom)(\.|$)")
    for library in ("pydicom", "pynetdicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.STORE_SEND_CHUNKED_DATASET = True
