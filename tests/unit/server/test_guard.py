"""Roles and the audit chain at the server: what no role allows is refused, and what cannot be noted is not done."""

import json
import multiprocessing
import threading
from contextlib import closing, contextmanager

import httpx
import pydicom
import pytest
from guards import ACCOUNTS, make_keys, serving
from hospital import PATIENT

from vesalius.cli import main
from vesalius.errors import PrivacyError, VesaliusError
from vesalius.privacy.access import PERMISSIONS, change_role, read_access
from vesalius.privacy.audit import append, study_hash
from vesalius.privacy.tokens import adopt_tokens, change_title, draw_token, owner_of, withdraw_tokens
from vesalius.privacy.verify import verify
from vesalius.server.dicomweb.app import create_app
from vesalius.server.guard import Guard, UnnotedError, guard_of, token_of
from vesalius.server.node import commitment
from vesalius.server.node.limits import Limits
from vesalius.server.node.listen import Door, listening
from vesalius.server.node.peers import Caller, Peer, PeerError, RefusedError
from vesalius.server.node.query import echo
from vesalius.server.node.send import parcels_of, send
from vesalius.server.station import serving_web
from vesalius.server.store import Store

PART = b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n"
KIND = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}


@pytest.fixture
def keys(tmp_path):
    return make_keys(tmp_path / "keys", titles={"SCANNER": "scanner", "READER": "reader"})


@contextmanager
def node(store, keys, **how):
    with listening(Door(port=0, limits=Limits(pdu_s=1.0, answer_s=5.0), **how), store, guard=keys.guard) as port:
        yield Peer("VESALIUS", "127.0.0.1", port)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("who", ACCOUNTS)
def test_each_service_asks_for_its_permission(store, keys, ct, who):
    """The answers of those who may not are the same whether or not there is something."""
    able = {act for role in ACCOUNTS[who] for act in PERMISSIONS[role]}
    kept = store.add_file(ct[0])[0]
    there = f"/studies/{kept.study}"
    with serving(store, keys.guard) as url:
        header = bearer(getattr(keys, who))
        for path in ("/studies", there, f"{there}/metadata", f"{there}/series", "/instances"):
            answer = httpx.get(url + path, headers=header)
            assert answer.status_code == (200 if "view" in able else 403), path
        missing = httpx.get(f"{url}/studies/1.2.3", headers=header)
        assert missing.status_code == (404 if "view" in able else 403)
        if "view" not in able:
            assert missing.content == answer.content == b""
        body = PART + ct[1].read_bytes() + b"\r\n--x--"
        answer = httpx.post(f"{url}/studies", content=body, headers=KIND | header)
        assert answer.status_code == (200 if "store" in able else 403)
    assert len(store.instances()) == 1 + ("store" in able)


def test_what_is_taken_away_is_refused_from_the_next_request_on(store, keys):
    with serving(store, keys.guard) as url:

        def status():
            return httpx.get(f"{url}/studies", headers=bearer(keys.reader)).status_code

        assert status() == 200
        change_role(keys.access, "reader", "viewer", granted=False)
        assert status() == 403
        change_role(keys.access, "reader", "viewer", granted=True)
        assert status() == 200
        assert withdraw_tokens(keys.access, "reader") == 1
        assert status() == 401
        keys.access.write_text("{")
        assert httpx.get(f"{url}/studies", headers=bearer(keys.writer)).status_code == 401


def test_titles_of_the_network_are_accounts(store, keys, ct):
    with node(store, keys) as peer:
        fates = {}
        for title in ("SCANNER", "READER"):
            echo(peer, caller=Caller(title))
            fates[title] = [(one.fate, one.status) for one in send(peer, parcels_of(ct[:1])[0], caller=Caller(title))]
        assert fates == {"SCANNER": [("stored", 0)], "READER": [("refused", 0x0124)]}
        with pytest.raises(PeerError, match="refuses the association"):
            echo(peer, caller=Caller("STRANGER"))
        change_title(keys.access, "scanner", "SCANNER", given=False)
        with pytest.raises(PeerError, match="refuses the association"):
            echo(peer, caller=Caller("SCANNER"))
        keys.access.unlink()
        with pytest.raises(PeerError, match="refuses the association"):
            echo(peer, caller=Caller("READER"))
    assert len(store.instances()) == 1


def test_storage_commitment_needs_the_permission_to_store(store, keys, ct):
    kept = store.add_file(ct[0])[0]
    peers = {title: Peer(title, "127.0.0.1", 9) for title in ("SCANNER", "READER")}
    handlers = commitment.handlers(store, peers, caller=Caller(), told=lambda _: None)
    with listening(Door(port=0), store, handlers=handlers, guard=keys.guard) as port:
        peer = Peer("VESALIUS", "127.0.0.1", port)
        commitment.request(peer, "1.2.3", [(kept.storage, kept.uid)], caller=Caller("SCANNER"))
        for uid in (kept.uid, "1.2.3.4"):  # here or not
            with pytest.raises(RefusedError, match="0124"):
                commitment.request(peer, "1.2.3", [(kept.storage, uid)], caller=Caller("READER"))
    told = [(one.who, one.act, one.about["service"], one.about["state"]) for one in keys.noted()]
    assert told[:2] == [("scanner", "committed", "N-ACTION", state) for state in ("begun", "done")]
    assert told[2:] == [("reader", "stored", "N-ACTION", "refused")] * 2


def test_an_association_is_noted_by_study_and_names_nobody(store, keys, ct):
    study = str(pydicom.dcmread(ct[0]).StudyInstanceUID)
    with node(store, keys) as peer:
        list(send(peer, parcels_of(ct)[0], caller=Caller("SCANNER")))
    told = [(one.who, one.act, dict(one.about)) for one in keys.noted()]
    of = {"service": "C-STORE", "studies": 1, "of": [study_hash(keys.chain, study)]}
    assert told == [
        ("scanner", "stored", of | {"state": "begun"}),
        ("scanner", "stored", of | {"state": "done", "kept": 5, "refused": 0}),
    ]
    written = (keys.chain / "chain.jsonl").read_text()
    assert not [word for word in (*PATIENT[:3], study) if word in written]


def test_requests_are_noted_with_person_act_study_and_outcome(store, keys, ct):
    kept = store.add_file(ct[0])[0]
    with serving(store, keys.guard) as url:
        for path in ("/studies", f"/studies/{kept.study}", "/studies/1.2.3"):
            httpx.get(url + path, headers=bearer(keys.reader))
        for path in ("/studies", f"/studies/{kept.study}"):
            httpx.get(url + path, headers=bearer(keys.scanner))
        body = PART + ct[1].read_bytes() + PART + b"none" + b"\r\n--x--"
        httpx.post(f"{url}/studies", content=body, headers=KIND | bearer(keys.writer))
        for _ in range(3):
            httpx.get(f"{url}/studies", headers=bearer("guessed"))
    study = study_hash(keys.chain, kept.study)
    told = [(one.who, one.act, one.about["service"], one.about["state"], one.about["of"]) for one in keys.noted()]
    assert told == [
        ("reader", "queried", "QIDO-RS", "done", [study]),
        ("reader", "read", "WADO-RS", "begun", [study]),
        ("reader", "read", "WADO-RS", "done", [study]),
        ("reader", "read", "WADO-RS", "failed", [study_hash(keys.chain, "1.2.3")]),
        ("scanner", "queried", "QIDO-RS", "refused", []),
        ("scanner", "read", "WADO-RS", "refused", []),
        ("writer", "stored", "STOW-RS", "begun", [study]),
        ("writer", "stored", "STOW-RS", "failed", [study]),  # one of two objects
        ("nobody", "knocked", "QIDO-RS", "refused", []),  # once a minute, however often
    ]


def test_the_chain_is_searched_by_study(store, keys, ct, capsys):
    kept = store.add_file(ct[0])[0]
    keys.guard.note("reader", "read", "done", service="WADO-RS", studies=[kept.study])
    keys.guard.note("reader", "read", "done", service="WADO-RS", studies=["1.2.3"])
    assert main(["audit", "show", str(keys.chain), "--study", kept.study, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["entries"]) == 1


def break_chain(keys):
    (keys.chain / "head.json").write_text("{}")


def test_what_cannot_be_noted_is_not_answered(store, keys, ct):
    kept = store.add_file(ct[0])[0]
    break_chain(keys)
    with serving(store, keys.guard) as url:
        for path in ("/studies", f"/studies/{kept.study}", f"/studies/{kept.study}/metadata", "/studies/1.2.3"):
            answer = httpx.get(url + path, headers=bearer(keys.reader))
            assert (answer.status_code, answer.content) == (503, b"")
        body = PART + ct[1].read_bytes() + b"\r\n--x--"
        answer = httpx.post(f"{url}/studies", content=body, headers=KIND | bearer(keys.writer))
        assert (answer.status_code, answer.content) == (503, b"")
        assert httpx.get(f"{url}/studies", headers=bearer(keys.scanner)).status_code in (403, 503)
        assert httpx.get(f"{url}/studies").status_code == 401
    assert len(store.instances()) == 1


def test_what_cannot_be_noted_is_not_kept_by_the_node(store, keys, ct):
    break_chain(keys)
    with node(store, keys) as peer:
        (told,) = send(peer, parcels_of(ct[:1])[0], caller=Caller("SCANNER"))
    assert (told.fate, told.status) == ("later", 0xA700)  # the sender keeps it, and tries again
    assert store.instances() == ()
    assert not list((store.folder / "incoming").iterdir())


def test_what_cannot_be_noted_is_refused_by_the_guard(keys, tmp_path):
    with pytest.raises(UnnotedError):
        Guard(keys.access, tmp_path / "nowhere").note("ada", "read", "begun", service="WADO-RS")
    Guard(keys.access).note("ada", "read", "begun", service="WADO-RS")  # no chain is configured


def _append(chain, count):
    for number in range(count):
        append(chain, "read", {"n": number})


def test_several_processes_and_the_server_write_one_chain(store, keys, ct):
    store.add_file(ct[0])
    others = [multiprocessing.get_context("spawn").Process(target=_append, args=(keys.chain, 20)) for _ in range(2)]
    for other in others:
        other.start()
    with serving(store, keys.guard) as url:

        def ask():
            for _ in range(10):
                assert httpx.get(f"{url}/studies", headers=bearer(keys.reader)).status_code == 200

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for other in others:
        other.join()
        assert other.exitcode == 0
    found = verify(keys.chain)
    assert found.broken is None
    assert found.entries == 1 + 2 * 20 + 3 * 10


def test_the_rules_of_the_folder_name_the_guard(tmp_path, keys):
    place = tmp_path / "keys"
    assert not guard_of(tmp_path / "elsewhere").asks
    (place / "vesalius-privacy.toml").write_text('access = "access.json"\naudit = "audit"\n')
    guard = guard_of(place / "store")
    assert guard.asks
    assert guard.chain == place / "audit"
    keys.access.unlink()
    with pytest.raises(PrivacyError):
        guard_of(place / "store")


def test_dicomweb_without_roles_does_not_start(store):
    with pytest.raises(VesaliusError, match="vesalius access create"):
        create_app(store, Guard())
    with pytest.raises(VesaliusError, match="TLS"):
        serving_web(Door(host="10.0.0.1", networks=("10.0.0.0/8",)), 0, Guard())


def test_roles_and_a_list_of_titles_do_not_go_together(tmp_path, keys):
    with (
        closing(Store(tmp_path / "own")) as store,
        pytest.raises(VesaliusError, match="vesalius access title"),
        node(store, keys, callers=("SCANNER",)),
    ):
        pass


def test_tokens_are_kept_as_hashes(keys, tmp_path):
    token = draw_token(keys.access, "reader")
    written = keys.access.read_text()
    assert token not in written
    assert keys.reader not in written
    access = read_access(keys.access)
    assert [owner_of(access, one) for one in (token, keys.reader, keys.writer, token[:-1], "")] == [
        *("reader", "reader", "writer"),
        *(None, None),
    ]
    assert token not in repr(access)
    with pytest.raises(PrivacyError, match="has no role"):
        draw_token(keys.access, "somebody")
    with pytest.raises(PrivacyError, match="another account's"):
        change_title(keys.access, "reader", "SCANNER", given=True)
    keys.access.write_text(written.replace('"reader"', "3"))
    with pytest.raises(PrivacyError):
        read_access(keys.access)


def test_tokens_of_before_are_taken_over(keys, tmp_path):
    old = tmp_path / "tokens"
    old.write_text(f"# ours\nread {'r' * 30}\n\nwrite {'w' * 30}\n")
    assert adopt_tokens(keys.access, old) == ["web-1", "web-2"]
    assert adopt_tokens(keys.access, old) == []
    access = read_access(keys.access)
    assert owner_of(access, "r" * 30) == "web-1"
    assert [access.allows("web-1", act) for act in ("view", "store")] == [True, False]
    assert [access.allows("web-2", act) for act in ("view", "store")] == [True, True]
    for wrong in ("read short", f"rule {'r' * 30}"):
        old.write_text(wrong)
        with pytest.raises(PrivacyError, match="line 1"):
            adopt_tokens(keys.access, old)


def test_the_verb_gives_tokens_and_titles(keys, capsys, tmp_path):
    def told(*words):
        assert main(["access", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    file = str(keys.access)
    token = told("token", file, "reader")["token"]
    assert owner_of(read_access(file), token) == "reader"
    assert told("title", file, "scanner", "CT1")["titles"]["CT1"] == "scanner"
    assert "CT1" not in told("title", file, "scanner", "CT1", "--withdraw")["titles"]
    assert told("token", file, "reader", "--withdraw") == {"withdrawn": 2}
    assert main(["access", "title", file, "scanner", "A" * 17]) == 1
    assert main(["access", "list", file]) == 0
    assert "AE title SCANNER" in capsys.readouterr().out


def test_the_file_of_tokens_of_before_is_answered_with_what_to_do(tmp_path, capsys):
    words = ["dicom-node", "serve", str(tmp_path / "store"), "--web-port", "0", "--web-tokens", "tokens"]
    assert main(words) == 1
    assert "vesalius access adopt access.json TOKENS" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic !", "Basic /w==", "Digest abc", "Basic YWI="])
def test_headers_without_a_token(header):
    assert not token_of(header)
