"""deploy/bootstrap_pip.py: pip comes into an environment without it, from the index of the user, if it is the pinned one."""

from __future__ import annotations

import hashlib
import importlib.util
import ssl
import subprocess
import sys
import threading
import venv
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "bootstrap_pip.py"
CONTEXT = ssl.create_default_context()


class Index:
    """A package index on this machine."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append((self.path, self.headers["Authorization"]))
                content = index.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"

    def offers(self, name: str, content: bytes) -> None:
        page = f'<a href="pip-1.0-py3-none-any.whl">old</a><a href="../../files/{name}#sha256=0">{name}</a>'
        self.files = {"/simple/pip/": page.encode(), f"/files/{name}": content}


@pytest.fixture
def index() -> Iterator[Index]:
    made = Index()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap_pip", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def offered(bootstrap: ModuleType, index: Index, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A stand-in for the pinned wheel, which `index` offers."""
    wheel = b"a wheel"
    monkeypatch.setattr(bootstrap, "SHA256", hashlib.sha256(wheel).hexdigest())
    index.offers(f"pip-{bootstrap.VERSION}-py3-none-any.whl", wheel)
    return wheel


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_wheel_comes_from_the_index(bootstrap: ModuleType, index: Index, offered: bytes, slash: str) -> None:
    assert bootstrap.fetch_wheel(f"http://{index.host}/simple{slash}", CONTEXT) == offered


def test_a_password_of_the_index_goes_to_its_server(bootstrap: ModuleType, index: Index, offered: bytes) -> None:
    assert bootstrap.fetch_wheel(f"http://ann:p%40ss@{index.host}/simple", CONTEXT) == offered
    assert {told for _, told in index.asked} == {f"Basic {b64encode(b'ann:p@ss').decode()}"}


def test_another_wheel_is_not_used(bootstrap: ModuleType, index: Index) -> None:
    index.offers(f"pip-{bootstrap.VERSION}-py3-none-any.whl", b"of somebody else")
    with pytest.raises(bootstrap.BootstrapError, match="SHA-256"):
        bootstrap.fetch_wheel(f"http://{index.host}/simple", CONTEXT)


def test_an_index_without_the_version_or_that_is_none_is_told(bootstrap: ModuleType, index: Index) -> None:
    index.offers("pip-2.0-py3-none-any.whl", b"")
    with pytest.raises(bootstrap.BootstrapError, match="has no pip-"):
        bootstrap.fetch_wheel(f"http://{index.host}/simple", CONTEXT)
    with pytest.raises(bootstrap.BootstrapError, match="404"):
        bootstrap.fetch_wheel(f"http://{index.host}/nothing", CONTEXT)
    with pytest.raises(bootstrap.BootstrapError, match="http or https"):
        bootstrap.fetch_wheel("file:///somewhere", CONTEXT)


def test_the_index_is_the_one_that_pip_would_ask(bootstrap: ModuleType, tmp_path: Path) -> None:
    everybody, own = tmp_path / "etc", tmp_path / "home"
    files = [everybody, own, tmp_path / "missing"]
    assert bootstrap.setting("index-url", {}, files) is None
    everybody.write_text("[global]\nindex-url = https://a.example/simple\ncert = /ca%20.crt\n")
    assert bootstrap.setting("index-url", {}, files) == "https://a.example/simple"
    own.write_text("[global]\nindex-url = https://b.example/simple\n")
    assert bootstrap.setting("index-url", {}, files) == "https://b.example/simple"
    everybody.write_text("[install]\nindex-url = https://c.example/simple\n")
    assert bootstrap.setting("index-url", {}, files) == "https://c.example/simple"
    assert bootstrap.setting("index-url", {"PIP_INDEX_URL": "https://d.example"}, files) == "https://d.example"
    assert bootstrap.setting("index-url", {"PIP_INDEX_URL": ""}, files) == "https://c.example/simple"
    named = bootstrap.config_files({"HOME": "/h", "PIP_CONFIG_FILE": "/named"})
    assert (named[0], named[-1]) == (Path("/etc/xdg/pip/pip.conf"), Path("/named"))
    assert Path("/h/.config/pip/pip.conf") in named
    assert bootstrap.config_files({"PIP_CONFIG_FILE": "/dev/null"}) == []


def test_pip_comes_into_an_environment_without_it(bootstrap: ModuleType, index: Index, tmp_path: Path) -> None:
    ensurepip = pytest.importorskip("ensurepip")  # has a wheel of pip, of another version than the pinned one
    (wheel,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    version, content = wheel.name.split("-")[1], wheel.read_bytes()
    script = tmp_path / "bootstrap_pip.py"
    pinned = SCRIPT.read_text().replace(bootstrap.SHA256, hashlib.sha256(content).hexdigest())
    script.write_text(pinned.replace(f'"{bootstrap.VERSION}"', f'"{version}"'))
    index.offers(wheel.name, content)
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_INDEX_URL": f"http://{index.host}/simple"}
    assert subprocess.run([python, "-c", "import pip"], env=env, capture_output=True, check=False).returncode
    subprocess.run([python, script], env=env, check=True, capture_output=True)
    shown = subprocess.run([python, "-m", "pip", "--version"], env=env, check=True, capture_output=True, text=True).stdout
    assert shown.startswith(f"pip {version} from {tmp_path}")


def test_nothing_is_installed_outside_an_environment() -> None:
    outside = f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    done = subprocess.run([outside, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no virtual environment" in done.stderr


def test_make_asks_for_it_where_pip_is_missing() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python deploy/bootstrap_pip.py" in makefile
    assert "apt-get install python3-venv" not in makefile
