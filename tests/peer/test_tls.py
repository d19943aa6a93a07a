"""The folder of an agent: what is wrong with it is told before anything starts."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from concord import keys
from concord.errors import ConcordError
from peer_app.tls import read_identity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys.make_authority(tmp_path / "ca")
    keys.make_peer(tmp_path / "anna", tmp_path / "ca")
    return tmp_path / "anna"


def test_an_identity_is_the_name_in_the_certificate_and_hides_the_key(folder: Path) -> None:
    folder.rename(folder.parent / "mounted")
    identity = read_identity(folder.parent / "mounted")
    assert identity.name == "anna"
    assert "PRIVATE" not in repr(identity)
    assert b"PRIVATE" in identity.key


@pytest.mark.parametrize("name", [keys.PEER_CERTIFICATE, keys.PEER_KEY, keys.CA_CERTIFICATE])
@pytest.mark.parametrize("broken", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff\x00"])
def test_a_file_that_is_missing_or_broken_is_told(folder: Path, name: str, broken: bytes | None) -> None:
    (folder / name).unlink() if broken is None else (folder / name).write_bytes(broken)
    with pytest.raises(ConcordError, match=f"C601 .*{name}"):
        read_identity(folder)


def test_files_that_do_not_belong_together_are_told(folder: Path, tmp_path: Path) -> None:
    keys.make_peer(tmp_path / "bert", tmp_path / "ca")
    keys.make_authority(tmp_path / "other")
    own = (folder / keys.PEER_KEY).read_bytes()
    shutil.copy(tmp_path / "bert" / keys.PEER_KEY, folder)
    with pytest.raises(ConcordError, match=r"C601 .*peer\.crt is not of the key"):
        read_identity(folder)
    (folder / keys.PEER_KEY).write_bytes(own)
    shutil.copy(tmp_path / "other" / keys.CA_CERTIFICATE, folder)
    with pytest.raises(ConcordError, match=r"C601 .*not signed by the authority"):
        read_identity(folder)


def test_two_authorities_are_trusted_while_one_takes_the_place_of_the_other(folder: Path, tmp_path: Path) -> None:
    keys.make_authority(tmp_path / "new")
    both = b"".join((tmp_path / name / keys.CA_CERTIFICATE).read_bytes() for name in ("new", "ca"))
    (folder / keys.CA_CERTIFICATE).write_bytes(both)
    assert read_identity(folder).authorities.count(b"BEGIN") == 2


def test_the_time_of_a_certificate_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys.make_authority(tmp_path / "ca", days=60)
    keys.make_peer(tmp_path / "anna", tmp_path / "ca", days=39)
    now = datetime.now(UTC)
    read_identity(tmp_path / "anna", now + timedelta(days=8))
    assert caplog.text == ""
    read_identity(tmp_path / "anna", now + timedelta(days=10))
    assert f"peer.crt is valid until {now + timedelta(days=39):%Y-%m-%d}: renew it" in caplog.text
    with pytest.raises(ConcordError, match=rf"C601 .*peer\.crt has expired on {now + timedelta(days=39):%Y-%m-%d}"):
        read_identity(tmp_path / "anna", now + timedelta(days=40))
    with pytest.raises(ConcordError, match=r"C601 .*peer\.crt is not valid before"):
        read_identity(tmp_path / "anna", now - timedelta(days=1))
    keys.make_peer(tmp_path / "anna", tmp_path / "ca", days=90, renew=True)
    with pytest.raises(ConcordError, match=r"C601 .*ca\.crt has expired"):
        read_identity(tmp_path / "anna", now + timedelta(days=70))


def test_the_certificate_of_a_server_is_none_of_an_agent(folder: Path, tmp_path: Path) -> None:
    keys.make_server(tmp_path / "superlink", tmp_path / "ca", ["anna"])
    shutil.copy(tmp_path / "superlink" / keys.SERVER_CERTIFICATE, folder / keys.PEER_CERTIFICATE)
    shutil.copy(tmp_path / "superlink" / keys.SERVER_KEY, folder / keys.PEER_KEY)
    with pytest.raises(ConcordError, match=r"C601 .*no certificate of an agent"):
        read_identity(folder)
