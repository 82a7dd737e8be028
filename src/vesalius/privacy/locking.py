"""One process at a time: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from vesalius.io.atomic import explained


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock of this name, and hold it for the block.

    The lock is the kernel's (``flock``), not the file's existence: what a killed process held is free at once. It holds
    between processes and threads of one machine; on network file systems as far as these support ``flock``.

    Args:
        path: The lock's file; it is made, and stays.

    Raises:
        VesaliusError: The system refused to make it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, alone(Path(folder) / ".lock"):
        ...     print("alone")
        alone
    """
    with explained(path.name):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # lets go of the lock, too
