"""Without the extra ``privacy``, what needs it says so; what does not works."""

import sys

import pytest

from vesalius.errors import MissingDependencyError
from vesalius.privacy.access import Access, _enforcer
from vesalius.privacy.audit import append, create_chain
from vesalius.privacy.consent import create_register
from vesalius.privacy.keys import Passphrase, lock_away, new_identity
from vesalius.privacy.sealed import derive
from vesalius.privacy.verify import new_signer, verify


@pytest.mark.parametrize(
    ("module", "act"),
    [
        ("pyrage", lambda _: new_identity()),
        ("cryptography.hazmat.primitives.kdf.hkdf", lambda _: derive(bytes(32), salt=b"", purpose=b"")),
        (
            "cryptography.hazmat.primitives.kdf.argon2",
            lambda _: lock_away(bytes(32), Passphrase("a" * 20), context=b""),
        ),
        ("cryptography.hazmat.primitives.asymmetric.ed25519", lambda place: new_signer(place / "key")),
        ("sqlalchemy", lambda place: create_register(str(place / "consent.sqlite"))),
        ("pg8000", lambda place: create_register("postgresql://ada@localhost/x", key=place / "key")),
        ("casbin", lambda _: Access({"ada": ("viewer",)}).allows("ada", "view")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_package_that_is_missing_is_named(module, act, monkeypatch, tmp_path):
    _enforcer.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vesalius\[privacy\]'"):
        act(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_audit_chain_without_signatures_needs_no_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    chain = create_chain(tmp_path / "audit")
    append(chain, "read")
    assert verify(chain).entries == 2
