"""Keys of agents: what their certificates say, how a request is signed, and what an authority does not sign."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from concord import keys
from concord.certificates import agent_host, agent_request, new_key, read_request
from concord.cli import app
from concord.commands import keys as command
from concord.console import plain_console
from concord.errors import ConcordError
from peer_app.tls import read_identity

HOSTS = ["ward-3.example", "10.0.0.3"]


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    keys.make_authority(tmp_path / "ca")
    return tmp_path / "ca"


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / keys.PEER_CERTIFICATE).read_bytes())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def hosts_in(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def test_a_certificate_is_of_the_agent_on_its_hosts_and_for_both_ends(ca: Path, tmp_path: Path) -> None:
    made = keys.make_peer(tmp_path / "ward-3", ca, HOSTS, days=9)
    assert {path.name for path in made} == {keys.PEER_KEY, keys.PEER_CERTIFICATE, keys.CA_CERTIFICATE}
    mine = certificate(tmp_path / "ward-3")
    assert mine.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ward-3")])
    assert hosts_in(mine) == [*HOSTS, agent_host("ward-3")]
    uses = set(mine.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert uses == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not mine.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (mine.not_valid_after_utc - mine.not_valid_before_utc).days == 9
    assert isinstance(mine.public_key(), ec.EllipticCurvePublicKey)
    assert read_identity(tmp_path / "ward-3").name == "ward-3"


def test_the_key_is_readable_by_its_owner_alone(ca: Path, tmp_path: Path) -> None:
    keys.make_peer(tmp_path / "ward-3", ca)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ward-3").iterdir()}
    assert modes == {keys.PEER_KEY: 0o600, keys.PEER_CERTIFICATE: 0o644, keys.CA_CERTIFICATE: 0o644}


def test_what_is_there_is_kept(ca: Path, tmp_path: Path) -> None:
    keys.make_peer(tmp_path / "ward-3", ca)
    before = content(tmp_path / "ward-3")
    assert keys.make_peer(tmp_path / "ward-3", ca, ["elsewhere"]) == []
    assert keys.make_peer(tmp_path / "ward-3") == []
    assert content(tmp_path / "ward-3") == before


def test_a_request_is_signed_elsewhere_and_the_key_stays(ca: Path, tmp_path: Path) -> None:
    mine, desk = tmp_path / "ward-3", tmp_path / "desk" / "ward-3.csr"
    assert {path.name for path in keys.make_peer(mine, None, HOSTS)} == {keys.PEER_KEY, keys.PEER_REQUEST}
    before = content(mine)
    assert keys.make_peer(mine, None, HOSTS) == []
    desk.parent.mkdir()
    desk.write_bytes(before[keys.PEER_REQUEST])
    made = keys.sign_request(desk, read_request(desk), ca)
    assert {path.name for path in made} == {"ward-3.crt", keys.CA_CERTIFICATE}
    assert keys.sign_request(desk, read_request(desk), ca) == []
    (mine / keys.PEER_CERTIFICATE).write_bytes((desk.parent / "ward-3.crt").read_bytes())
    (mine / keys.CA_CERTIFICATE).write_bytes((desk.parent / keys.CA_CERTIFICATE).read_bytes())
    assert keys.make_peer(mine, None, HOSTS) == []
    assert content(mine)[keys.PEER_KEY] == before[keys.PEER_KEY]
    assert hosts_in(certificate(mine)) == [*HOSTS, agent_host("ward-3")]
    assert read_identity(mine).name == "ward-3"


def test_a_request_that_was_begun_is_finished_where_the_authority_is_at_hand(ca: Path, tmp_path: Path) -> None:
    keys.make_peer(tmp_path / "ward-3")
    key = (tmp_path / "ward-3" / keys.PEER_KEY).read_bytes()
    (tmp_path / "ward-3").rename(tmp_path / "mounted")  # a container calls the folder otherwise
    keys.make_peer(tmp_path / "mounted", ca)
    assert (tmp_path / "mounted" / keys.PEER_KEY).read_bytes() == key
    assert read_identity(tmp_path / "mounted").name == "ward-3"


def test_renewing_keeps_key_and_name(ca: Path, tmp_path: Path) -> None:
    keys.make_peer(tmp_path / "ward-3", ca, HOSTS)
    (tmp_path / "ward-3").rename(tmp_path / "mounted")
    before = content(tmp_path / "mounted")
    made = keys.make_peer(tmp_path / "mounted", ca, ["new.example"], renew=True)
    assert [path.name for path in made] == [keys.PEER_CERTIFICATE]
    assert content(tmp_path / "mounted")[keys.PEER_KEY] == before[keys.PEER_KEY]
    assert hosts_in(certificate(tmp_path / "mounted")) == ["new.example", agent_host("ward-3")]


def test_a_renewal_is_asked_for_and_signed(ca: Path, tmp_path: Path) -> None:
    mine = tmp_path / "ward-3"
    keys.make_peer(mine, None, HOSTS)
    request = mine / keys.PEER_REQUEST
    keys.sign_request(request, read_request(request), ca)
    first = content(mine)
    assert [path.name for path in keys.make_peer(mine, None, ["new.example"], renew=True)] == [keys.PEER_REQUEST]
    assert content(mine)[keys.PEER_CERTIFICATE] == first[keys.PEER_CERTIFICATE]  # in use until there is another
    with pytest.raises(ConcordError, match=r"C601 .*peer\.crt is there, and is not for this request"):
        keys.sign_request(request, read_request(request), ca)
    keys.sign_request(request, read_request(request), ca, renew=True)
    assert content(mine)[keys.PEER_KEY] == first[keys.PEER_KEY]
    assert hosts_in(certificate(mine)) == ["new.example", agent_host("ward-3")]


def test_the_commands_do_so_too(ca: Path, tmp_path: Path) -> None:
    mine, call = str(tmp_path / "ward-3"), partial(CliRunner().invoke, app)
    assert call(["keys", "peer", mine, "--host", "ward-3.example", "--host", "10.0.0.3"]).exit_code == 0
    request = f"{mine}/{keys.PEER_REQUEST}"
    assert read_request(Path(request)).hosts == tuple(HOSTS)
    refused = call(["keys", "sign", request, "--ca", str(ca)], input="n\n")
    assert (refused.exit_code, (tmp_path / "ward-3" / keys.PEER_CERTIFICATE).exists()) == (1, False)
    assert call(["keys", "sign", request, "--ca", str(ca)], input="y\n").exit_code == 0
    assert call(["keys", "sign", request, "--ca", str(ca), "--renew", "--yes", "--days", "9"]).exit_code == 0
    assert call(["keys", "peer", mine, "--ca", str(ca)]).exit_code == 0
    assert hosts_in(certificate(tmp_path / "ward-3")) == [*HOSTS, agent_host("ward-3")]
    assert call(["keys", "peer", mine, "--ca", str(ca), "--renew"]).exit_code == 0
    assert hosts_in(certificate(tmp_path / "ward-3")) == [*keys.LOCAL_HOSTS, agent_host("ward-3")]


def test_the_authority_looks_before_it_signs(ca: Path, tmp_path: Path) -> None:
    console = plain_console(file=io.StringIO(), width=40)
    request = tmp_path / "ward-3" / keys.PEER_REQUEST
    command.peer(tmp_path / "ward-3", None, HOSTS, 9, console, renew=False)
    assert not command.sign(request, ca, 9, console, renew=False, confirm=lambda: False)
    assert not (tmp_path / "ward-3" / keys.PEER_CERTIFICATE).exists()
    assert command.sign(request, ca, 9, console, renew=False, confirm=lambda: True)
    command.peer(tmp_path / "ward-3", None, HOSTS, 9, console, renew=False)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert told.count("agent ward-3, hosts ward-3.example, 10.0.0.3\n") == 3  # by the agent, and twice by the authority
    assert told.count(read_request(request).fingerprint) == 3
    assert "peer.crt: everything is there" not in told
    assert told.endswith(f"nothing was changed\n{command.NEXT_PEER}\n")


@pytest.mark.parametrize("renew", [False, True])
def test_a_certificate_without_its_key_is_told_and_not_replaced(ca: Path, tmp_path: Path, renew: bool) -> None:
    keys.make_peer(tmp_path / "ward-3", ca)
    (tmp_path / "ward-3" / keys.PEER_KEY).unlink()
    before = content(tmp_path / "ward-3")
    for authority in (None, ca):
        with pytest.raises(ConcordError, match=r"C601 .*has peer\.crt but not peer\.key"):
            keys.make_peer(tmp_path / "ward-3", authority, renew=renew)
    assert content(tmp_path / "ward-3") == before


def test_there_must_be_something_to_renew(ca: Path, tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=r"C601 .*but not peer\.key"):
        keys.make_peer(tmp_path / "ward-3", ca, renew=True)


@pytest.mark.parametrize("name", ["Ward-3", "-ward", "ward 3", "w" * 65, "ward\n", "..", "wärd"])
def test_a_folder_whose_name_is_none_of_an_agent_is_refused(ca: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConcordError, match=r"C601 .*no name of an agent"):
        keys.make_peer(tmp_path / "x" / name, ca)


@pytest.mark.parametrize("host", ["bert.agent.concord.internal", "*.agent.Concord.Internal.", "concord.internal"])
def test_nobody_gets_the_host_name_of_an_agent(ca: Path, tmp_path: Path, host: str) -> None:
    with pytest.raises(ConcordError, match=r"C601 .*stands for names of agents"):
        keys.make_peer(tmp_path / "anna", ca, [host])
    with pytest.raises(ConcordError, match=r"C601 .*stands for names of agents"):
        keys.make_server(tmp_path / "superlink", ca, [host])


def signed(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *names: str, hosts: tuple[str, ...] = ("here",), ca: bool = False
) -> bytes:
    """A request as somebody else might make it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def forged() -> bytes:
    """A request for a key that its sender does not have."""
    der = x509.load_pem_x509_csr(agent_request("anna", new_key(), ["here"])).public_bytes(serialization.Encoding.DER)
    other = new_key().public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    mine = x509.load_der_x509_csr(der).public_key()
    assert isinstance(mine, ec.EllipticCurvePublicKey)
    point = mine.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return x509.load_der_x509_csr(der.replace(point, other)).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"",
        lambda: b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        forged,
        lambda: signed(rsa.generate_private_key(65537, 2048), "anna"),
        lambda: signed(ec.generate_private_key(ec.SECP256R1()), "anna"),
        lambda: signed(new_key(), "anna", hosts=()),
        lambda: signed(new_key(), "anna", hosts=("bert.agent.concord.internal",)),
        lambda: signed(new_key(), "anna", "bert"),
        lambda: signed(new_key(), "Anna"),
        lambda: signed(new_key()),
    ],
    ids=["empty", "no-request", "forged", "rsa", "p-256", "no-host", "host-of-another", "two-names", "bad-name", "no-name"],
)
def test_what_is_no_proper_request_is_not_signed(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "peer.csr").write_bytes(make())
    with pytest.raises(ConcordError, match="C601"):
        read_request(tmp_path / "peer.csr")


def test_a_request_gets_nothing_but_its_name_and_hosts(ca: Path, tmp_path: Path) -> None:
    path = tmp_path / "peer.csr"
    path.write_bytes(signed(new_key(), "anna", ca=True))
    keys.sign_request(path, read_request(path), ca)
    assert not certificate(tmp_path).extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_certificate_of_the_authority_is_not_overwritten(ca: Path, tmp_path: Path) -> None:
    before = content(ca)
    (ca / "ca.csr").write_bytes(agent_request("anna", new_key(), ["here"]))
    with pytest.raises(ConcordError, match=r"C601 .*would be .*ca\.crt"):
        keys.sign_request(ca / "ca.csr", read_request(ca / "ca.csr"), ca, renew=True)
    assert content(ca) == before | {"ca.csr": (ca / "ca.csr").read_bytes()}
    with pytest.raises(ConcordError, match=r"C601 .*no request"):
        read_request(tmp_path / "nowhere.csr")
