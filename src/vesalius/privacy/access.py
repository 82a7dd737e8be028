"""Who may do what: roles with permissions, for stores that several people share and for the server.

What no role of a person allows is refused. Roles do not inherit from one another: somebody with two jobs has two roles.
No role may both look after the rules and see through pseudonyms.

An account is a person's or a machine's. On one's own machine it is the system's; over a network it is known by a token
(`vesalius.privacy.tokens`), of which only a hash is kept, or by the AE title of a DICOM node, which is a name and no
secret.

Source: role-based access control: D. F. Ferraiolo, R. Sandhu et al.: Proposed NIST Standard for Role-Based Access
Control, ACM TISSEC 4(3), 2001 (doi 10.1145/501978.501980), core RBAC, with its static separation of duty; the model is
casbin's.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from vesalius.errors import MissingDependencyError, PrivacyError, unknown_name
from vesalius.io.atomic import write_text
from vesalius.privacy.locking import alone

Role = Literal["viewer", "annotator", "trainer", "device", "data-officer", "administrator"]
Act = Literal[
    "view",
    "store",
    "annotate",
    "segment",
    "train",
    "export",
    "deidentify",
    "reidentify",
    "vault",
    "consent",
    "audit",
    "access",
]
PERMISSIONS: Mapping[Role, tuple[Act, ...]] = MappingProxyType(
    {
        "viewer": ("view",),
        "annotator": ("view", "store", "annotate", "segment"),
        "trainer": ("view", "segment", "train", "export"),
        "device": ("store",),
        "data-officer": ("view", "deidentify", "reidentify", "vault", "consent", "audit"),
        "administrator": ("access", "audit"),
    }
)
"""What each role allows."""
SEPARATE: tuple[frozenset[Role], ...] = (frozenset(("data-officer", "administrator")),)
"""Roles of which nobody has all at once."""
_FORMAT = "vesalius access 1"
_MODEL = """
[request_definition]
r = sub, act
[policy_definition]
p = sub, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.act == p.act
"""


@dataclass(frozen=True)
class Access:
    """Who has which roles.

    Args:
        roles: By the name of the account.
        tokens: SHA-256 of a token, in hexadecimal digits, to the account that it belongs to.
        titles: AE title of a DICOM node to its account.

    Raises:
        PrivacyError: A role is not known, or somebody has roles that must be separate.

    Example:
        >>> access = Access({"ada": ("trainer",)})
        >>> access.allows("ada", "train"), access.allows("ada", "reidentify"), access.allows("bob", "view")
        (True, False, False)
    """

    roles: Mapping[str, tuple[Role, ...]] = field(repr=False)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    titles: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for held in self.roles.values():
            for role in held:
                if role not in PERMISSIONS:
                    raise PrivacyError(unknown_name("role", role, PERMISSIONS))
            for apart in SEPARATE:
                if apart <= set(held):
                    raise PrivacyError(
                        f"one account cannot be {' and '.join(sorted(apart))} at once: they are separate"
                    )

    def allows(self, who: str, act: Act) -> bool:
        """Whether one of somebody's roles allows an act; never for somebody without a role.

        Raises:
            PrivacyError: The act is not known.
            MissingDependencyError: The package pycasbin is not installed.
        """
        if act not in get_args(Act):
            raise PrivacyError(unknown_name("act", act, get_args(Act)))
        return bool(_enforcer(tuple(sorted((w, r) for w, held in self.roles.items() for r in held))).enforce(who, act))

    def require(self, who: str, act: Act) -> None:
        """Raise unless somebody may do something.

        Raises:
            PrivacyError: Nobody of this name may; the message says which roles allow it.
        """
        if not self.allows(who, act):
            able = [role for role, acts in PERMISSIONS.items() if act in acts]
            raise PrivacyError(f"the account {who} may not {act} here; {' or '.join(able)} may: ask an administrator")


def read_access(path: str | os.PathLike[str]) -> Access:
    """Read who has which roles.

    Raises:
        PrivacyError: There is no such file, or it says something else.
    """
    place = Path(path)
    try:
        raw = json.loads(place.read_bytes())
        known = {name: dict(raw.get(name, {})) for name in ("roles", "tokens", "titles")}
        right = raw["format"] == _FORMAT and all(isinstance(held, list) for held in raw["roles"].values())
        right &= all(isinstance(who, str) for name in ("tokens", "titles") for who in known[name].values())
        roles = {str(who): tuple(held) for who, held in known["roles"].items()}
    except OSError as error:
        raise PrivacyError(f"cannot read the roles in {place.name}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        right, roles, known = False, {}, {}
    if not right:
        raise PrivacyError(f"{place.name} does not say who has which roles; `vesalius access create` makes such a file")
    return Access(roles, known["tokens"], known["titles"])


def create_access(path: str | os.PathLike[str], administrator: str) -> Access:
    """Write a file in which one account is the administrator.

    Raises:
        PrivacyError: Something stands there.
    """
    place = Path(path)
    if place.exists():
        raise PrivacyError(f"{place.name} is there already; change it with grant and revoke")
    made = Access({administrator: ("administrator",)})
    _write(place, made)
    return made


def change_role(path: str | os.PathLike[str], who: str, role: Role, *, granted: bool) -> Access:
    """Give somebody a role, or take it away.

    Args:
        path: The file.
        who: Account.
        role: A role of `PERMISSIONS`.
        granted: Whether it is given.

    Returns:
        Who has which roles now.

    Raises:
        PrivacyError: The role is not known, must be separate from another, or the last administrator would go.
    """

    def change(access: Access) -> Access:
        roles = dict(access.roles)
        held = [one for one in roles.get(who, ()) if one != role]
        roles[who] = (*held, role) if granted else tuple(held)
        made = replace(access, roles={name: kept for name, kept in roles.items() if kept})
        if role not in PERMISSIONS:
            raise PrivacyError(unknown_name("role", role, PERMISSIONS))
        if not any("administrator" in kept for kept in made.roles.values()):
            raise PrivacyError("the last administrator cannot go: make another one first")
        return made

    return change_access(path, change)


def change_access(path: str | os.PathLike[str], change: Callable[[Access], Access]) -> Access:
    """Change a file of roles; of several processes that do so one after another.

    Args:
        path: The file.
        change: Takes what the file says, gives what it is to say.

    Returns:
        What it says now.
    """
    place = Path(path)
    with alone(place.with_name(f".{place.name}.lock")):
        made = change(read_access(place))
        _write(place, made)
    return made


def _write(place: Path, access: Access) -> None:
    roles = {who: list(held) for who, held in sorted(access.roles.items())}
    told: dict[str, object] = {"format": _FORMAT, "roles": roles}
    told |= {name: dict(sorted(held.items())) for name in ("tokens", "titles") if (held := getattr(access, name))}
    write_text(place, json.dumps(told, indent=1) + "\n")


@functools.lru_cache(maxsize=8)
def _enforcer(held: tuple[tuple[str, str], ...]) -> Any:
    try:
        import casbin
    except ImportError as error:
        raise MissingDependencyError("roles need pycasbin: pip install 'vesalius[privacy]'") from error
    model = casbin.Model()
    model.load_model_from_text(_MODEL)
    enforcer = casbin.Enforcer(model)
    for known, acts in PERMISSIONS.items():
        for act in acts:
            enforcer.add_policy(f"role:{known}", act)
    for who, role in held:
        enforcer.add_grouping_policy(f"account:{who}", f"role:{role}")
    return _Enforcer(enforcer)


@dataclass(frozen=True)
class _Enforcer:
    """Casbin's, asked by account: a role's name is no account's."""

    inner: Any

    def enforce(self, who: str, act: str) -> bool:
        return bool(self.inner.enforce(f"account:{who}", act))
