"""Keep pydicom's warnings, which can hold raw values of the header, out of logs and off the screen."""

import logging
import threading
import warnings
from contextlib import ExitStack


class _Quiet:
    """Both switches belong to the whole process: the first of several readers sets them, the last resets them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._switches = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                logger = logging.getLogger("pydicom")
                self._switches.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"(pydicom|vesalius\.io\.dicom)(\.|$)")
                logger.addFilter(_drop)
                self._switches.callback(logger.removeFilter, _drop)
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._switches.close()


def _drop(_: logging.LogRecord) -> bool:
    return False


quiet = _Quiet()
"""``with quiet:`` silences pydicom while files are read; the reader itself checks what matters, and raises it."""
