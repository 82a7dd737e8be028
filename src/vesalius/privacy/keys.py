"""Keys: how they are drawn and kept in files, and how a passphrase or an age identity locks another key away."""

from __future__ import annotations

import os
import secrets
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vesalius.errors import MissingDependencyError, PrivacyError
from vesalius.io.atomic import explained
from vesalius.privacy.sealed import KEY_BYTES

SHORTEST_PASSPHRASE = 15
"""Characters. Source: NIST SP 800-63B-4, section 3.1.1.2, for a password that is the only factor."""
_TIMES, _LANES, _MEMORY_KIB = 3, 4, 1 << 16
"""Of Argon2id. Source: RFC 9106, section 4, the second recommended option (64 MiB, where 2 GiB may not be there)."""
_MOST_TIMES, _MOST_LANES, _MOST_MEMORY_KIB = 16, 16, 1 << 21  # a file must not make us compute for hours
_SALT_BYTES, _NONCE_BYTES = (
    16,
    12,
)  # Source: RFC 9106, section 3.1 (16 bytes); NIST SP 800-38D, section 5.2.1.1 (96 bits)
_IDENTITY, _LARGEST_KEY_FILE = "AGE-SECRET-KEY-1", 1 << 16


@dataclass(frozen=True)
class Passphrase:
    """Words that a person knows; they lock and they open.

    Args:
        text: The words; it is never shown.
    """

    text: str = field(repr=False)


@dataclass(frozen=True)
class Recipient:
    """The public half of an age key: it locks.

    Args:
        text: ``age1…``.
    """

    text: str


@dataclass(frozen=True)
class Identity:
    """The secret half of an age key: it opens what was locked for its recipient.

    Args:
        text: ``AGE-SECRET-KEY-1…``; it is never shown.
    """

    text: str = field(repr=False)


Lock = Passphrase | Recipient
Key = Passphrase | Identity


def new_identity() -> tuple[Identity, Recipient]:
    """Draw an age key: what opens, and what locks for it.

    Raises:
        MissingDependencyError: The package pyrage is not installed.

    Source:
        X25519 recipients of the age format, age-encryption.org/v1.

    Example:
        >>> identity, recipient = new_identity()
        >>> identity
        Identity()
        >>> recipient.text[:4]
        'age1'
    """
    drawn = _pyrage().x25519.Identity.generate()
    return Identity(str(drawn)), Recipient(str(drawn.to_public()))


def recipient_of(identity: Identity) -> Recipient:
    """What locks for an identity.

    Raises:
        PrivacyError: It is not an age identity.
    """
    return Recipient(str(_age(identity).to_public()))


def read_key(path: str | os.PathLike[str]) -> Key:
    """Read a key file: an age identity as ``age-keygen`` and `write_secret` write it, else a passphrase.

    Args:
        path: The file. Others than its owner must not be able to read it.

    Raises:
        PrivacyError: There is no such file, it is empty, or others may read it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_secret(Path(folder) / "key", "correct horse battery staple")
        ...     read_key(Path(folder) / "key")
        Passphrase()
    """
    text = read_secret(path)
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line.startswith(_IDENTITY)]
    if len(found) > 1:
        raise PrivacyError(f"{Path(path).name} holds {len(found)} identities; a key file holds one")
    return Identity(found[0]) if found else Passphrase(text.strip("\r\n"))


def read_secret(path: str | os.PathLike[str]) -> str:
    """Read the text of a file that only its owner may read.

    Raises:
        PrivacyError: There is no such file, it is empty, too large, not text, or others may read it.
    """
    place = Path(path)
    try:
        about = place.stat()
        if stat.S_IMODE(about.st_mode) & 0o077:
            raise PrivacyError(f"{place.name} holds a secret, and others may read it: chmod 600 {place.name}")
        if about.st_size > _LARGEST_KEY_FILE:
            raise PrivacyError(f"{place.name} is too large for a secret: {about.st_size:,} bytes")
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise PrivacyError(f"cannot read the secret {place.name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PrivacyError(f"{place.name} is not a text, as a secret must be") from None
    if not text.strip():
        raise PrivacyError(f"{place.name} is empty, and a secret is not")
    return text


def write_secret(path: str | os.PathLike[str], text: str) -> None:
    """Write a text into a new file that only its owner may read. A file that is there already is never replaced.

    Raises:
        PrivacyError: Something stands there: what it locks would be lost with it.
        VesaliusError: The system refused.
    """
    place = Path(path)
    with explained(place.name):
        try:
            descriptor = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise PrivacyError(f"{place.name} is there already, and a key is never replaced: choose a name") from None
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")
            file.flush()
            os.fsync(file.fileno())


def lock_away(key: bytes, lock: Lock, *, context: bytes) -> dict[str, Any]:
    """Lock a key away so that a person's key opens it.

    Args:
        key: 32 bytes.
        lock: A passphrase, or an age recipient.
        context: What the key is of; it opens nowhere else.

    Returns:
        Plain JSON values, of which none is secret.

    Raises:
        PrivacyError: The passphrase is too short, or the recipient is none.
        MissingDependencyError: A package of the extra ``privacy`` is not installed.

    Source:
        Argon2id with salt and parameters: RFC 9106. The key that it gives encrypts once, since its salt is drawn anew:
        no nonce repeats under it (NIST SP 800-38D, section 8). age: age-encryption.org/v1.
    """
    if isinstance(lock, Recipient):
        pyrage = _pyrage()
        try:
            recipient = pyrage.x25519.Recipient.from_str(lock.text)
        except pyrage.RecipientError:
            raise PrivacyError("a recipient is written age1…, as `vesalius vault key` prints it") from None
        return {"kind": "age", "recipient": lock.text, "key": pyrage.encrypt(key + context, [recipient]).hex()}
    if len(lock.text) < SHORTEST_PASSPHRASE:
        raise PrivacyError(
            f"a passphrase has at least {SHORTEST_PASSPHRASE} characters, and this one {len(lock.text)}: "
            "take several words, or `vesalius vault key`"
        )
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    how = {"times": _TIMES, "lanes": _LANES, "memory_kib": _MEMORY_KIB}
    wrapped = _gcm(_stretched(lock, salt, **how)).encrypt(nonce, key, context)
    return {"kind": "argon2id", **how, "salt": salt.hex(), "nonce": nonce.hex(), "key": wrapped.hex()}


def open_lock(locked: Mapping[str, Any], key: Key, *, context: bytes) -> bytes | None:
    """Open what `lock_away` locked.

    Args:
        locked: What it returned.
        key: The passphrase, or an age identity.
        context: As it was locked with.

    Returns:
        The 32 bytes; None where this key is not the one, or the values were changed.

    Raises:
        PrivacyError: The values ask for more work or memory than any lock of ours.
    """
    try:
        if locked["kind"] == "age" and isinstance(key, Identity):
            return _open_age(bytes.fromhex(locked["key"]), key, context)
        if locked["kind"] == "argon2id" and isinstance(key, Passphrase):
            return _open_passphrase(locked, key, context)
    except (KeyError, TypeError, ValueError):  # values that are none: changed, or of another program
        return None
    return None


def _open_age(locked: bytes, key: Identity, context: bytes) -> bytes | None:
    pyrage = _pyrage()
    try:
        opened: bytes = pyrage.decrypt(locked, [_age(key)])
    except pyrage.DecryptError:
        return None
    return opened[:KEY_BYTES] if opened[KEY_BYTES:] == context else None


def _open_passphrase(locked: Mapping[str, Any], key: Passphrase, context: bytes) -> bytes | None:
    times, lanes, memory = (int(locked[name]) for name in ("times", "lanes", "memory_kib"))
    if times > _MOST_TIMES or lanes > _MOST_LANES or memory > _MOST_MEMORY_KIB:
        raise PrivacyError("its lock asks for more work or memory than any that Vesalius makes: it was changed")
    from cryptography.exceptions import InvalidTag

    stretched = _stretched(key, bytes.fromhex(locked["salt"]), times=times, lanes=lanes, memory_kib=memory)
    try:
        opened: bytes = _gcm(stretched).decrypt(bytes.fromhex(locked["nonce"]), bytes.fromhex(locked["key"]), context)
    except InvalidTag:
        return None
    return opened


def _stretched(passphrase: Passphrase, salt: bytes, *, times: int, lanes: int, memory_kib: int) -> bytes:
    try:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    except ImportError as error:
        raise MissingDependencyError("encryption needs cryptography: pip install 'vesalius[privacy]'") from error
    # Keyboards differ in how they write an é. Source: RFC 8265, section 4.2.2 (normalisation form C).
    words = unicodedata.normalize("NFC", passphrase.text).encode("utf-8")
    kdf = Argon2id(salt=salt, length=KEY_BYTES, iterations=times, lanes=lanes, memory_cost=memory_kib)
    return kdf.derive(words)


def _gcm(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _age(identity: Identity) -> Any:
    pyrage = _pyrage()
    try:
        return pyrage.x25519.Identity.from_str(identity.text)
    except pyrage.IdentityError:
        raise PrivacyError("an age identity is written AGE-SECRET-KEY-1…, and this one is damaged") from None


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError as error:
        raise MissingDependencyError("keys of age need pyrage: pip install 'vesalius[privacy]'") from error
    return pyrage
