"""Encryption at rest: a folder in which a data set lies sealed, its names and sizes with it."""

from vesalius.privacy.vault.changes import add, relock, remove, rotate
from vesalius.privacy.vault.plain import Member, extract, find_damage, member
from vesalius.privacy.vault.store import Sealed, Vault, create_vault, open_vault

__all__ = [
    "Member",
    "Sealed",
    "Vault",
    "add",
    "create_vault",
    "extract",
    "find_damage",
    "member",
    "open_vault",
    "relock",
    "remove",
    "rotate",
]
