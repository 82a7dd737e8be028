"""The node on loopback: who is let in, what hostile callers get, and that it goes on listening."""

import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import closing, contextmanager

import pydicom
import pytest
from hospital import tool
from pydicom.uid import generate_uid
from pynetdicom import AE

from vesalius.errors import VesaliusError
from vesalius.server.node import commitment
from vesalius.server.node.limits import Limits
from vesalius.server.node.listen import Arrivals, Door, listening
from vesalius.server.node.peers import Caller, Peer, PeerError, RefusedError, parse_peer
from vesalius.server.node.query import echo, find, get, move
from vesalius.server.node.send import Parcel, parcels_of, send
from vesalius.server.node.tls import Tls, context_of
from vesalius.server.store import Store

CT = "1.2.840.10008.5.1.4.1.1.2"


@contextmanager
def node(store, **how):
    limits = how.pop("limits", Limits(pdu_s=1.0, answer_s=5.0))
    with listening(Door(port=0, limits=limits, **how), store, arrivals=how.get("arrivals")) as port:
        yield Peer("VESALIUS", "127.0.0.1", port)


def alive(peer):
    echo(peer, caller=Caller())
    return True


def request_for_association(title=b"VESALIUS", length=None, contexts=b""):
    """An A-ASSOCIATE-RQ for verification, written by hand."""
    syntax = b"\x40\x00\x00\x11" + b"1.2.840.10008.1.2"
    abstract = b"\x30\x00\x00\x11" + b"1.2.840.10008.1.1"
    context = b"\x20\x00" + struct.pack(">H", 4 + len(abstract) + len(syntax)) + b"\x01\0\0\0" + abstract + syntax
    application = b"\x10\x00\x00\x15" + b"1.2.840.10008.3.1.1.1"
    user = b"\x50\x00\x00\x08" + b"\x51\x00\x00\x04" + struct.pack(">L", 16384)
    body = struct.pack(">HH", 1, 0) + title.ljust(16) + b"CALLER".ljust(16) + bytes(32) + application
    body += (contexts or context) + user
    return b"\x01\x00" + struct.pack(">L", len(body) if length is None else length) + body


def answered(port, data, *, wait_s=10.0):
    """What comes back until the other side closes; fails when it does not close."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as line:
        got = b""
        try:
            line.sendall(data)
            while part := line.recv(65536):
                got += part
        except ConnectionError:
            pass
        return got


def test_what_is_sent_is_kept_byte_for_byte(store, ct):
    parcels, others = parcels_of([ct[0].parent])
    assert (len(parcels), others) == (5, 0)
    arrivals = Arrivals()
    with listening(Door(port=0), store, arrivals=arrivals) as port:
        told = list(send(Peer("VESALIUS", "127.0.0.1", port), parcels, caller=Caller()))
    assert [(one.fate, one.status) for one in told] == [("stored", 0)] * 5
    for parcel in parcels:
        (kept,) = store.instances(instance=parcel.uid)
        sent, here = (path.read_bytes() for path in (parcel.path, kept.path))
        assert here[here.index(b"\x08\x00\x16\x00") :] == sent[sent.index(b"\x08\x00\x16\x00") :]
        assert pydicom.dcmread(kept.path) == pydicom.dcmread(parcel.path)


def test_a_series_is_unfinished_while_its_association_is_open(store, ct):
    arrivals = Arrivals()
    with listening(Door(port=0), store, arrivals=arrivals) as port:
        coming = send(Peer("VESALIUS", "127.0.0.1", port), parcels_of(ct)[0], caller=Caller())
        next(coming)
        assert arrivals.unfinished() == {(one.study, one.series) for one in store.instances()}
        list(coming)
        for _ in range(100):
            if not arrivals.unfinished():
                break
            time.sleep(0.05)
        assert arrivals.unfinished() == set()


@pytest.mark.parametrize(
    "how", [{"callers": ("OTHER",)}, {"ae_title": "ANOTHER"}, {"networks": ("10.0.0.0/8",)}], ids=str
)
def test_who_is_not_on_the_list_is_not_let_in(store, how):
    with node(store, **how) as peer, pytest.raises(PeerError):
        echo(peer, caller=Caller())


def test_who_is_on_the_list_is(store):
    with node(store, callers=("FRIEND", "OTHER"), networks=("127.0.0.0/8", "::1/128")) as peer:
        echo(peer, caller=Caller("FRIEND"))
        with pytest.raises(PeerError):
            echo(peer, caller=Caller("STRANGER"))


def test_it_does_not_listen_to_all_by_accident(tmp_path):
    with pytest.raises(VesaliusError, match="which addresses"):
        Door(host="0.0.0.0")
    assert Door(host="0.0.0.0", networks=("10.0.0.0/8",)).port == 11112
    for wrong in ({"host": "somewhere"}, {"networks": ("10.0.0.0/99",)}, {"ae_title": ""}, {"callers": ("A" * 17,)}):
        with pytest.raises(VesaliusError):
            Door(**wrong)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff" + bytes(1000),
        b"\x04\x00\xff\xff\xff\xff" + bytes(1000),
        b"\x01\x00\x00\x00\x00\x05hello",
        b"\x99\x00\x00\x00\x00\x00",
        b"\x01",
        request_for_association(length=100),
        request_for_association(contexts=b"\x20\x00\xff\xff\x01\0\0\0"),
        request_for_association(title=b"\xff" * 16),
        request_for_association() + b"\x04\x00\xff\xff\xff\xf0" + bytes(100),
        request_for_association() + b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
        request_for_association() + b"\x04\x00\x00\x00\x00\x06\xff\xff\xff\xff\x01\x03",
        request_for_association() + b"\x04\x00\x00\x00\x00\x02\x00\x00",
    ],
)
def test_nonsense_ends_the_connection_and_nothing_else(store, data):
    with node(store, limits=Limits(pdu_s=0.5, answer_s=2.0, idle_s=2.0)) as peer:
        answered(peer.port, data)
        assert alive(peer)


def test_who_says_nothing_holds_nobody_up(store):
    with node(store, limits=Limits(associations=2, pdu_s=0.5, answer_s=1.0, idle_s=1.0)) as peer:
        lines = [socket.create_connection(("127.0.0.1", peer.port)) for _ in range(20)]
        try:
            for line in lines[::2]:
                line.send(b"\x01\x00")
            for _ in range(100):
                try:
                    if alive(peer):
                        break
                except PeerError:
                    time.sleep(0.1)
            else:
                raise AssertionError("nobody gets in any more")
        finally:
            for line in lines:
                line.close()


def test_a_pdu_that_trickles_is_cut_off(store):
    with node(store, limits=Limits(pdu_s=0.5, answer_s=5.0)) as peer:
        with socket.create_connection(("127.0.0.1", peer.port), timeout=10) as line:
            line.sendall(request_for_association()[:-20])
            with pytest.raises(OSError):  # noqa: PT011  (reset or broken pipe)
                for _ in range(100):
                    line.sendall(b"x")
                    time.sleep(0.1)
        assert alive(peer)


def test_an_object_that_never_ends_is_cut_off(store):
    with node(store, limits=Limits(object_bytes=1 << 20)) as peer:
        with socket.create_connection(("127.0.0.1", peer.port), timeout=10) as line:
            line.sendall(request_for_association())
            assert line.recv(1)[0] == 2
            piece = b"\x01\x00" + bytes(60_000)
            pdu = b"\x04\x00" + struct.pack(">LL", len(piece) + 4, len(piece)) + piece
            with pytest.raises(OSError):  # noqa: PT011
                for _ in range(200):
                    line.sendall(pdu)
                    time.sleep(0.005)
        assert alive(peer)


def test_what_is_held_is_let_go_of(store, ct):
    size = ct[0].stat().st_size
    with node(store, limits=Limits(held_bytes=2 * size)) as peer:
        for path in ct:
            assert [one.fate for one in send(peer, parcels_of([path])[0], caller=Caller())] == ["stored"]
    with node(store, limits=Limits(held_bytes=size // 2)) as peer, pytest.raises(PeerError):
        list(send(peer, parcels_of(ct[:1])[0], caller=Caller()))


def test_a_class_that_nobody_knows_is_not_taken(store, ct):
    private = Parcel("1.2.3", "1.2.3.4.5.6", "1.2.840.10008.1.2", ct[0])
    with node(store) as peer, pytest.raises(RefusedError):
        list(send(peer, [private], caller=Caller()))


def stored_by_hand(peer, dataset, **announced):
    """Send a data set with pynetdicom alone, with UIDs announced that are not its own."""
    ae = AE("CALLER")
    ae.add_requested_context(CT, "1.2.840.10008.1.2.1")
    association = ae.associate("127.0.0.1", peer.port, ae_title="VESALIUS")
    assert association.is_established
    for keyword, value in announced.items():
        dataset[keyword]._value = value
    try:
        return association.send_c_store(dataset).get("Status")
    finally:
        association.abort()


@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")
@pytest.mark.parametrize("uid", ["../../../x", "/etc/x", "1.2.3/..", "1.2\0.3"])
@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_hostile_uids_are_refused_over_the_network(store, ct, tmp_path, uid, keyword):
    before = {path for path in tmp_path.rglob("*") if "store" not in path.parts[-3:]}
    with node(store) as peer:
        status = stored_by_hand(peer, pydicom.dcmread(ct[0]), **{keyword: uid})
        assert status is None or status >= 0xA700
        assert alive(peer)
    assert store.instances() == ()
    assert not list((store.folder / "objects").rglob("*.dcm"))
    assert {path for path in tmp_path.rglob("*") if "store" not in path.parts[-3:]} - before <= set(
        store.folder.rglob("*")
    )


def test_a_conflict_is_told_to_the_sender(store, ct):
    store.add_file(ct[0])
    with node(store) as peer:
        assert stored_by_hand(peer, pydicom.dcmread(ct[0])) == 0
        assert stored_by_hand(peer, pydicom.dcmread(ct[0]), PatientSex="F") == 0xC001


def test_a_full_disk_is_told_to_the_sender(tmp_path, ct):
    with closing(Store(tmp_path / "full", keep_free=1 << 60)) as store, node(store) as peer:
        assert stored_by_hand(peer, pydicom.dcmread(ct[0])) == 0xA700


def test_storage_commitment_between_two_nodes(tmp_path, store, ct):
    kept = [store.add_file(path)[0] for path in ct[:3]]
    reports: list[commitment.Report] = []
    come = threading.Event()
    with closing(Store(tmp_path / "asker")) as other:
        said = commitment.handlers(other, {}, caller=Caller("ASKER"), told=lambda r: (reports.append(r), come.set()))
        with listening(Door("ASKER", port=0), other, handlers=said) as port:
            peers = {"ASKER": Peer("ASKER", "127.0.0.1", port)}
            answers = commitment.handlers(store, peers, caller=Caller(), told=reports.append)
            with listening(Door(port=0), store, handlers=answers) as own:
                peer = Peer("VESALIUS", "127.0.0.1", own)
                objects = [(one.storage, one.uid) for one in kept]
                objects += [(CT, "1.2.3.4"), ("1.2.840.10008.5.1.4.1.1.4", kept[0].uid)]
                transaction = generate_uid()
                commitment.request(peer, transaction, objects, caller=Caller("ASKER"))
                assert come.wait(20)
                with pytest.raises(PeerError, match="0124"):
                    commitment.request(peer, generate_uid(), objects, caller=Caller("STRANGER"))
    (report,) = reports
    assert report.transaction == transaction
    assert set(report.kept) == {one.uid for one in kept}
    assert set(report.missing) == {"1.2.3.4", kept[0].uid}


def test_what_a_peer_does_not_do_is_told(store):
    with node(store) as peer:
        for question in (
            lambda: find(peer, "STUDY", {"StudyInstanceUID": ""}, caller=Caller()),
            lambda: move(peer, "ELSEWHERE", {"StudyInstanceUID": "1.2.3"}, caller=Caller()),
            lambda: get(peer, {"StudyInstanceUID": "1.2.3"}, store, caller=Caller()),
        ):
            with pytest.raises(PeerError):
                question()
        with pytest.raises(VesaliusError, match="unknown keyword"):
            find(peer, "STUDY", {"PatientIdd": ""}, caller=Caller())


def test_a_peer_that_is_not_there_is_told():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        peer = Peer("NOBODY", "127.0.0.1", free.getsockname()[1])
        with pytest.raises(PeerError, match="cannot be reached"):
            echo(peer, caller=Caller())
    for wrong in ("PACS", "PACS@host", "PACS@host:x", "@host:104", "A\\B@host:104", "PACS@host:0", "PACS@:104"):
        with pytest.raises(VesaliusError):
            parse_peer(wrong)


def test_a_peer_that_answers_with_a_monster_is_left():
    limits = Limits(pdu_s=1.0, answer_s=2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hostile():
            line, _ = server.accept()
            with line:
                line.recv(65536)
                line.sendall(b"\x02\x00\xff\xff\xff\xff" + bytes(100_000))
                time.sleep(0.5)

        thread = threading.Thread(target=hostile)
        thread.start()
        with pytest.raises(PeerError):
            echo(Peer("HOSTILE", "127.0.0.1", server.getsockname()[1]), caller=Caller(limits=limits))
        thread.join()


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    """An authority and two identities that it signed; and one that it did not."""
    folder = tmp_path_factory.mktemp("tls")
    openssl = tool("openssl")

    def run(*words):
        subprocess.run([openssl, *map(str, words)], check=True, capture_output=True, cwd=folder)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for authority in ("authority", "stranger"):
        run(
            "req", "-x509", *new, "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN={authority}"
        )
    (folder / "names.txt").write_text("subjectAltName=IP:127.0.0.1\n")
    made = {}
    for name, signer in (("node", "authority"), ("other", "stranger")):
        run("req", *new[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-days", "2"),
            *("-CAcreateserial", "-extfile", "names.txt", "-out", f"{name}.pem"),
        )
        (folder / f"{name}.key").chmod(0o600)
        made[name] = Tls(folder / f"{name}.pem", folder / f"{name}.key", folder / "authority.pem")
    return made


def test_with_tls_both_sides_are_checked(store, ct, identities):
    with node(store, tls=identities["node"]) as peer:
        echo(peer, caller=Caller(tls=identities["node"]))
        assert [one.fate for one in send(peer, parcels_of(ct)[0], caller=Caller(tls=identities["node"]))] == [
            "stored"
        ] * 5
        for wrong in (Caller(), Caller(tls=identities["other"])):
            with pytest.raises(PeerError):
                echo(peer, caller=wrong)
        with pytest.raises(PeerError):  # the name of the certificate is another one
            echo(Peer("VESALIUS", "localhost", peer.port), caller=Caller(tls=identities["node"]))
    with node(store) as peer, pytest.raises(PeerError):
        echo(peer, caller=Caller(tls=identities["node"]))


def test_a_handshake_that_never_ends_holds_nobody_up(store, identities):
    with node(store, tls=identities["node"]) as peer, socket.create_connection(("127.0.0.1", peer.port)) as line:
        line.send(b"\x16\x03\x01")
        echo(peer, caller=Caller(tls=identities["node"]))


def test_old_tls_is_refused(identities):
    context = context_of(identities["node"], listening=True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_files_for_tls_that_are_no_good_are_told(identities, tmp_path):
    good = identities["node"]
    open_key = tmp_path / "open.key"
    open_key.write_bytes(good.key.read_bytes())
    open_key.chmod(0o644)
    for wrong in (
        Tls(good.certificate, open_key, good.authority),
        Tls(tmp_path / "none.pem", good.key, good.authority),
        Tls(good.certificate, identities["other"].key, good.authority),
        Tls(good.key, good.key, good.authority),
    ):
        with pytest.raises(VesaliusError):
            context_of(wrong, listening=True)


def test_pynetdicom_says_nothing(store, ct, caplog):
    with node(store) as peer:
        list(send(peer, parcels_of(ct)[0], caller=Caller()))
    assert not [one for one in caplog.records if one.name.startswith("pynetdicom")]
