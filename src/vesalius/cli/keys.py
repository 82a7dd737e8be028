"""Keys and passphrases on the command line, where they are files or what a person types, never arguments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.privacy.keys import Key


def opening_key(file: str | None) -> Key:
    """What opens a vault: the key of a file; without one the passphrase that somebody types.

    Raises:
        PrivacyError: The file cannot be read, others may read it, or there is nobody to ask.
    """
    from vesalius.privacy.keys import Passphrase, read_key

    return read_key(file) if file is not None else Passphrase(ask_passphrase("passphrase: ", "--key FILE"))


def ask_passphrase(prompt: str, instead: str) -> str:
    """A passphrase from a person, never from the command line, where everybody on the machine could read it.

    Args:
        prompt: What is shown.
        instead: What to give where there is nobody to ask, for the message.

    Raises:
        PrivacyError: There is nobody to ask.
    """
    import getpass

    from vesalius.errors import PrivacyError

    if not sys.stdin.isatty():
        raise PrivacyError(f"there is nobody to ask for a passphrase: give {instead}")
    return getpass.getpass(prompt)
