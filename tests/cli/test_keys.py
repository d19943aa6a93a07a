"""Certificates and keys: what they prove, who can read them, and that nothing is ever made twice."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from concord import keys
from concord.errors import ConcordError

SECRETS = {keys.CA_KEY, keys.SERVER_KEY, keys.LINK_KEY, keys.NODE_KEY, keys.PEER_KEY, keys.SECRET}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An authority, a SuperLink, a node and an agent without a server."""
    keys.make_authority(tmp_path / "ca")
    keys.make_server(tmp_path / "superlink", tmp_path / "ca", ["localhost", "127.0.0.1"])
    keys.make_node(tmp_path / "ward-3", tmp_path / "ca" / keys.CA_CERTIFICATE)
    keys.make_peer(tmp_path / "ward-5", tmp_path / "ca")
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shake_hands(certificate: Path, key: Path, trusted: Path, host: str) -> None:
    """A TLS connection on the loopback interface; ssl.SSLError when the client does not trust the server."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ssl.create_default_context(cafile=str(trusted)).wrap_socket(ours, server_hostname=host):
            pass
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_superlink_is_trusted_under_its_names(folder: Path, host: str) -> None:
    mine = folder / "superlink"
    shake_hands(mine / keys.SERVER_CERTIFICATE, mine / keys.SERVER_KEY, folder / "ward-3" / keys.CA_CERTIFICATE, host)


def test_the_superlink_is_not_trusted_under_another_name_nor_by_another_authority(folder: Path) -> None:
    mine = folder / "superlink"
    pair = mine / keys.SERVER_CERTIFICATE, mine / keys.SERVER_KEY
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(*pair, folder / "ca" / keys.CA_CERTIFICATE, "elsewhere")
    keys.make_authority(folder / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(*pair, folder / "other" / keys.CA_CERTIFICATE, "localhost")


def test_the_link_of_a_node_is_trusted_by_its_own_executor_alone(folder: Path) -> None:
    mine = folder / "ward-3"
    shake_hands(mine / keys.LINK_CERTIFICATE, mine / keys.LINK_KEY, mine / keys.LINK_CERTIFICATE, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(mine / keys.LINK_CERTIFICATE, mine / keys.LINK_KEY, mine / keys.CA_CERTIFICATE, "localhost")


def test_a_node_key_is_what_flower_takes(folder: Path) -> None:
    private = serialization.load_ssh_private_key((folder / "ward-3" / keys.NODE_KEY).read_bytes(), None)
    public = (folder / "ward-3" / keys.NODE_PUBLIC_KEY).read_bytes()
    assert public.startswith(b"ecdsa-sha2-nistp384 ")
    encoded = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert encoded == public.strip()


def test_secrets_are_readable_by_their_owner_alone(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.name in SECRETS else 0o644), path


def test_no_folder_holds_a_secret_of_another(folder: Path) -> None:
    found = content(folder)
    secrets = [value for name, value in found.items() if Path(name).name in SECRETS]
    assert len(set(secrets)) == len(secrets) == 7  # two executors' secrets
    own = {keys.PEER_KEY, keys.PEER_CERTIFICATE, keys.CA_CERTIFICATE}
    assert {Path(name).name for name in found if name.startswith("ward-5/")} == own
    assert {Path(name).name for name in found if name.startswith("ward-3/")} == {
        keys.NODE_KEY,
        keys.NODE_PUBLIC_KEY,
        keys.LINK_CERTIFICATE,
        keys.LINK_KEY,
        keys.SECRET,
        keys.CA_CERTIFICATE,
    }


def test_what_is_there_is_kept(folder: Path) -> None:
    before = content(folder)
    assert keys.make_authority(folder / "ca") == []
    assert keys.make_server(folder / "superlink", folder / "ca", ["elsewhere"]) == []
    assert keys.make_node(folder / "ward-3", folder / "ca" / keys.CA_CERTIFICATE) == []
    assert keys.make_peer(folder / "ward-5", folder / "ca") == []
    assert content(folder) == before


def test_another_node_or_agent_changes_nothing_of_the_others(folder: Path) -> None:
    before = content(folder)
    keys.make_node(folder / "ward-4", folder / "ca" / keys.CA_CERTIFICATE)
    keys.make_peer(folder / "ward-6", folder / "ca")
    assert {name: value for name, value in content(folder).items() if not name.startswith(("ward-4/", "ward-6/"))} == before


def test_renewing_keeps_the_key_and_the_nodes(folder: Path) -> None:
    before = content(folder)
    made = keys.make_server(folder / "superlink", folder / "ca", ["localhost", "new.example"], renew=True)
    assert {path.name for path in made} == {keys.SERVER_KEY, keys.SERVER_CERTIFICATE}
    after = content(folder)
    assert {name for name in after if after[name] != before[name]} == {f"superlink/{keys.SERVER_CERTIFICATE}"}
    mine = folder / "superlink"
    shake_hands(mine / keys.SERVER_CERTIFICATE, mine / keys.SERVER_KEY, folder / "ward-3" / keys.CA_CERTIFICATE, "new.example")


def test_certificates_last_as_long_as_asked(tmp_path: Path) -> None:
    keys.make_authority(tmp_path / "ca", days=9)
    keys.make_server(tmp_path / "superlink", tmp_path / "ca", ["localhost"], days=3)
    for path, days in (("ca/ca.crt", 9), ("superlink/server.crt", 3)):
        certificate = x509.load_pem_x509_certificate((tmp_path / path).read_bytes())
        assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == days


@pytest.mark.parametrize("lost", [keys.SERVER_KEY, keys.SERVER_CERTIFICATE])
def test_a_torn_pair_is_told_and_not_replaced(folder: Path, lost: str) -> None:
    (folder / "superlink" / lost).unlink()
    before = content(folder)
    with pytest.raises(ConcordError, match=f"C601 .*not {lost}"):
        keys.make_server(folder / "superlink", folder / "ca", ["localhost"])
    assert content(folder) == before


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=r"C601 .*without a host name"):
        keys.make_server(tmp_path / "superlink", tmp_path / "ca", [])
    with pytest.raises(ConcordError, match=r"C601 .*ca\.crt"):
        keys.make_server(tmp_path / "superlink", tmp_path / "ca", ["localhost"])
    keys.make_authority(tmp_path / "ca")
    with pytest.raises(ConcordError, match=r"C601 .*no host name"):
        keys.make_server(tmp_path / "superlink", tmp_path / "ca", ["hôpital"])
    (tmp_path / "ca" / keys.CA_KEY).write_text("nothing")
    with pytest.raises(ConcordError, match=r"C601 .*ca\.key"):
        keys.make_server(tmp_path / "superlink", tmp_path / "ca", ["localhost"])
    (tmp_path / "file").touch()
    with pytest.raises(ConcordError, match="C601"):
        keys.make_node(tmp_path / "file" / "node")
