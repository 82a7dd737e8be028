"""Which cases of a data set may be used for a purpose, as the consent register has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vesalius.errors import PrivacyError
from vesalius.image import Dataset, Lineage, Record
from vesalius.privacy.consent import Register, State, check_purpose, open_register, states
from vesalius.privacy.rules import find_rules

_WORDS: Mapping[State, str] = {
    "withdrawn": "the consent was withdrawn",
    "expired": "the consent has expired",
    "not yet valid": "the consent is not valid yet",
    "never given": "there is no consent",
}


@dataclass(frozen=True, eq=False)
class Admission:
    """Asks the register before a file is read: ``index(folder, admit=admission)``.

    Args:
        register: Opened.
        purpose: For which the cases are to be used.
    """

    register: Register
    purpose: str

    def __call__(self, records: Sequence[Record]) -> dict[str, str]:
        """The reason for each case whose patient does not agree today, by the case's id."""
        hashes = {record.id: self.register.hash_of(record.patient or record.id) for record in records}
        found = states(self.register, sorted(set(hashes.values())), self.purpose)
        return {
            case: f"{_WORDS[found[hashed]]} for the purpose {self.purpose}"
            for case, hashed in hashes.items()
            if found[hashed] != "granted"
        }

    def sign(self, dataset: Dataset) -> Dataset:
        """The data set with its lineage, which goes into all that is learnt from it."""
        hashes = {patient: self.register.hash_of(patient) for patient in dataset.patients}
        return replace(dataset, lineage=Lineage(self.register.id, self.purpose, hashes))


def find_admission(
    folder: str | Path, *, purpose: str | None = None, register: str | None = None, key: str | Path | None = None
) -> Admission | None:
    """Who decides over the cases of a folder: the register that is named, or that of the folder's rules.

    Args:
        folder: The data set.
        purpose: For which it is to be used.
        register: Path or URL of a register, see `vesalius.privacy.consent.open_register`; that of the rules
            (`vesalius.privacy.rules`) if left out. Rules that lie with the data come first.
        key: File of its key, where it is not beside it.

    Returns:
        None where no register is configured.

    Raises:
        PrivacyError: A register is configured and no purpose named, or the other way round; the rules name another
            register; the register or its key cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(find_admission(folder))
        None
    """
    rules = find_rules(folder)
    if rules is not None and rules.register:
        if register is not None and not _same(register, rules.register):
            raise PrivacyError(f"{rules.file.name}, which lies with these data, names another register than --register")
        register, key = rules.register, rules.register_key or key
    if register is None:
        if purpose is not None:
            raise PrivacyError("a purpose is what a register of consent is asked for, and none is named or configured")
        return None
    if purpose is None:
        raise PrivacyError(
            "these data are under a register of consent: say for which purpose they are used (--purpose)"
        )
    check_purpose(purpose)
    return Admission(open_register(register, key=None if key is None else Path(key)), purpose)


def _same(one: str, other: str) -> bool:
    return one == other if "://" in one + other else Path(one).resolve() == Path(other).resolve()
