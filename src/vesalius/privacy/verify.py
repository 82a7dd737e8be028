"""Whether an audit chain is what was written: the first broken link, checkpoints, receipts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vesalius.errors import FormatError, MissingDependencyError, PrivacyError
from vesalius.io.atomic import write_text
from vesalius.privacy.audit import CHAIN, FIRST, Entry, append, entries, read_head, read_line
from vesalius.privacy.keys import read_secret, write_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Fault = Literal["edited", "deleted", "reordered", "inserted", "truncated", "head", "signature"]
CHECKPOINT = "checkpoint"
_RECEIPT = "vesalius audit receipt 1"


@dataclass(frozen=True)
class Break:
    """The first link of a chain that does not hold.

    Args:
        entry: Number of the entry at which it shows.
        fault: What happened there.
        words: A sentence for people.
    """

    entry: int
    fault: Fault
    words: str


@dataclass(frozen=True)
class Verdict:
    """What was found in a chain.

    Args:
        entries: How many hold, from the first on.
        broken: The first link that does not; None where all hold.
        torn_bytes: Of a line that a crash cut off while it was written; no sign of a change.
        unnoted: Whole entries behind the head, left by a crash between the line and the head; no sign of a change.
        checkpoint: Number of the last entry that a signature covers; 0 for none.
        signer: The public key that signed it, in hexadecimal digits.
    """

    entries: int
    broken: Break | None = None
    torn_bytes: int = 0
    unnoted: int = 0
    checkpoint: int = 0
    signer: str = ""


def verify(
    path: str | os.PathLike[str],
    *,
    public_key: str | None = None,
    receipt: str | os.PathLike[str] | None = None,
) -> Verdict:
    """Follow a chain from its first entry to its last.

    Args:
        path: The chain's folder.
        public_key: Whose checkpoints count, 64 hexadecimal digits. Left out, each must hold for the key that it names.
        receipt: A file that `checkpoint` wrote, kept elsewhere since: the chain must still hold what it says.

    Returns:
        How far the chain holds, and the first link that does not.

    Raises:
        FormatError: There is no chain, or the receipt is none.
        MissingDependencyError: There are signatures to be checked, and the package cryptography is not installed.

    Example:
        >>> import tempfile
        >>> from vesalius.privacy.audit import create_chain
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     chain = create_chain(Path(folder) / "audit")
        ...     _ = [append(chain, "read", {"files": n}) for n in range(3)]
        ...     lines = (chain / CHAIN).read_bytes().splitlines(keepends=True)
        ...     _ = (chain / CHAIN).write_bytes(b"".join([*lines[:1], *lines[2:]]))
        ...     verify(chain).broken
        Break(entry=2, fault='deleted', words='entry 2 is missing: entry 3 follows entry 1')
    """
    place = Path(path)
    next(entries(place), None)  # whether there is one
    data = (place / CHAIN).read_bytes()
    *lines, torn = data.split(b"\n")
    head = read_head(place)
    held: list[Entry] = []
    checkpoint, signer = 0, ""
    for line in lines:
        entry = read_line(line + b"\n")
        fault = _fault(held, entry, lines)
        if fault is None and entry is not None and entry.act == CHECKPOINT:
            fault = _signature_fault(held, entry, public_key)
            if fault is None:
                checkpoint, signer = entry.about["count"], entry.about["public_key"]
        if fault is not None:
            return Verdict(len(held), fault, checkpoint=checkpoint, signer=signer)
        assert entry is not None
        held.append(entry)
    broken = _end_fault(held, head, torn, line_ends_at=len(data) - len(torn))
    broken = broken or (None if receipt is None else _receipt_fault(held, receipt, public_key))
    unnoted = 0 if head is None or broken is not None else len(held) - head.count
    return Verdict(len(held), broken, 0 if broken else len(torn), unnoted, checkpoint, signer)


def new_signer(path: str | os.PathLike[str]) -> str:
    """Draw a key for checkpoints and write it into a new file that only its owner may read.

    Returns:
        The public key, 64 hexadecimal digits: give it to whoever verifies.

    Raises:
        PrivacyError: Something stands there.
    """
    from_raw = _private_key()
    drawn = os.urandom(32)
    public = _public(from_raw(drawn))
    write_secret(path, drawn.hex())
    return public


def checkpoint(path: str | os.PathLike[str], key: str | os.PathLike[str]) -> dict[str, Any]:
    """Sign all entries of a chain by one that is added.

    Args:
        path: The chain's folder. It is verified first: nobody signs what is broken.
        key: File that `new_signer` wrote.

    Returns:
        The receipt, plain JSON values, which says of the chain what was signed; `write_receipt` keeps it.

    Raises:
        PrivacyError: The chain does not hold, or the key is none.
    """
    found = verify(path)
    if found.broken is not None:
        raise PrivacyError(f"{Path(path).name}: it is not signed, since it does not hold: {found.broken.words}")
    try:
        private = _private_key()(bytes.fromhex(read_secret(key).strip()))
    except ValueError:
        raise PrivacyError(f"{Path(key).name} is no key for checkpoints; `vesalius audit key` makes one") from None
    first, last = _ends(path)
    said = {"chain": first.about.get("chain", ""), "count": last.n, "hash": last.hash}
    told = {**said, "public_key": _public(private), "signature": private.sign(_signed(said)).hex()}
    append(path, CHECKPOINT, told)
    return {"format": _RECEIPT, **told}


def write_receipt(receipt: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a receipt, to be kept where whoever could change the chain cannot."""
    write_text(path, json.dumps(dict(receipt), indent=1) + "\n")


# --- what can be wrong ------------------------------------------------------------------------------------------------


def _fault(held: list[Entry], entry: Entry | None, lines: list[bytes]) -> Break | None:
    n = len(held) + 1
    if entry is None:
        return Break(n, "edited", f"entry {n} is not as it was written: its content does not give its hash")
    before = held[-1].hash if held else FIRST
    if entry.n == n and entry.before == before:
        return None
    if entry.n == n:
        what = f"entry {n} does not hold the hash of entry {n - 1}: one of the two was written anew"
        return Break(n, "edited", what)
    if entry.n < n:
        return Break(n, "inserted", f"where entry {n} should be, entry {entry.n} stands once more")
    later = any((other := read_line(line + b"\n")) is not None and other.n == n for line in lines)
    if later:
        return Break(n, "reordered", f"entry {entry.n} stands where entry {n} should be, which comes later")
    missing = f"entry {n} is" if entry.n == n + 1 else f"entries {n} to {entry.n - 1} are"
    return Break(n, "deleted", f"{missing} missing: entry {entry.n} follows {f'entry {n - 1}' if n > 1 else 'nothing'}")


def _end_fault(held: list[Entry], head: Any, torn: bytes, *, line_ends_at: int) -> Break | None:
    if head is None:
        return Break(
            len(held) + 1, "head", "the head is missing or damaged: whether the chain was cut off is not known"
        )
    if head.count > len(held) or (head.count == len(held) and head.size > line_ends_at):
        cut = "within a line" if torn else "between lines"
        return Break(
            len(held) + 1,
            "truncated",
            f"the chain ends after entry {len(held)} ({cut}), and the head knows {head.count}: it was cut off",
        )
    if head.count < 1 or held[head.count - 1].hash != head.hash:
        return Break(max(head.count, 1), "edited", f"entry {head.count} is not the one that the head names")
    return None


def _signature_fault(held: list[Entry], entry: Entry, public_key: str | None) -> Break | None:
    about = entry.about
    # Others may have added entries between the signature and the one that holds it: it says how many it covers.
    count = about.get("count")
    if not (isinstance(count, int) and 0 < count < entry.n):
        return Break(entry.n, "signature", f"the checkpoint at entry {entry.n} does not say what it covers")
    said = {"chain": held[0].about.get("chain", ""), "count": count, "hash": held[count - 1].hash}
    if public_key is not None and about.get("public_key") != public_key.lower():
        return Break(entry.n, "signature", f"the checkpoint at entry {entry.n} is signed by another key")
    if not _holds(about, said):
        return Break(entry.n, "signature", f"the checkpoint at entry {entry.n} is not signed for the entries before it")
    return None


def _receipt_fault(held: list[Entry], path: str | os.PathLike[str], public_key: str | None) -> Break | None:
    name = Path(path).name
    try:
        told = json.loads(Path(path).read_bytes())
        count, right = told["count"], told["format"] == _RECEIPT and isinstance(told["count"], int)
        said = {key: told[key] for key in ("chain", "count", "hash")}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise FormatError(f"{name}: it cannot be read as a receipt of an audit chain") from None
    if not right or not _holds(told, said) or (public_key is not None and told["public_key"] != public_key.lower()):
        raise FormatError(f"{name}: the receipt is damaged, or signed by another key")
    if not held or told["chain"] != held[0].about.get("chain"):
        return Break(1, "signature", "the receipt is of another chain")
    if count > len(held):
        words = f"the receipt was given for {count} entries, and the chain has {len(held)}: it was cut off"
        return Break(len(held) + 1, "truncated", words)
    if held[count - 1].hash != told["hash"]:
        return Break(count, "edited", f"entry {count} is not the one that the receipt was given for")
    return None


# --- signatures -------------------------------------------------------------------------------------------------------


def _ends(path: str | os.PathLike[str]) -> tuple[Entry, Entry]:
    found = list(entries(path))
    return found[0], found[-1]


def _signed(said: Mapping[str, Any]) -> bytes:
    return f"vesalius audit checkpoint 1\n{said['chain']}\n{said['count']}\n{said['hash']}\n".encode()


def _holds(about: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    _private_key()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(about["public_key"]))
        key.verify(bytes.fromhex(about["signature"]), _signed(said))
    except (InvalidSignature, ValueError, KeyError, TypeError):
        return False
    return True


def _private_key() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise MissingDependencyError("signatures need cryptography: pip install 'vesalius[privacy]'") from error
    return Ed25519PrivateKey.from_private_bytes


def _public(private: Ed25519PrivateKey) -> str:
    return private.public_key().public_bytes_raw().hex()
