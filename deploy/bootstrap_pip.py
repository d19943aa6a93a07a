"""Puts pip into the virtual environment that runs this file: python3 -m venv --without-pip .venv, .venv/bin/python THIS.

For machines whose Python comes without ensurepip, as Debian's does unless python3-venv is installed. Standard library
only. The wheel comes from the index that pip itself would ask (PIP_INDEX_URL, pip.conf, else PyPI), must have the
SHA-256 below whoever hands it out, and then installs itself. A new version of pip: change both lines together.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

VERSION = "26.3"
SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
PYPI = "https://pypi.org/simple"
TIMEOUT_SECONDS = 60


class BootstrapError(Exception):
    """What is wrong, for a person at a terminal."""


class _Links(HTMLParser):
    """Targets of all links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def config_files(env: Mapping[str, str]) -> list[Path]:
    """Where pip reads its configuration on Linux; what comes later wins."""
    named = env.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = Path(env.get("HOME") or Path.home())
    folders = [Path(folder) for folder in reversed(env.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")) if folder]
    own = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    files = [*(folder / "pip" / "pip.conf" for folder in folders), Path("/etc/pip.conf")]
    files += [home / ".pip" / "pip.conf", own / "pip" / "pip.conf", Path(sys.prefix) / "pip.conf"]
    return [*files, Path(named)] if named else files


def setting(name: str, env: Mapping[str, str], files: Iterable[Path]) -> str | None:
    """A setting of `pip install`, from the environment or else from the last file that has it."""
    if value := env.get(f"PIP_{name.upper().replace('-', '_')}"):
        return value
    found = None
    for section in ("global", "install"):  # the second wins, whatever file it is in
        for file in files:
            config = configparser.RawConfigParser()
            config.read(file, encoding="utf-8")
            found = config.get(section, name, fallback=None) or found
    return found


def fetch(url: str, context: ssl.SSLContext) -> bytes:
    """What is at an http or https address, with the user and password that it may hold."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise BootstrapError(f"{parts.scheme or url}: pip can only be fetched over http or https")
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers={"Accept": "text/html, */*;q=0.1"})  # noqa: S310 - http(s), see above
    if at:
        request.add_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context) as reply:  # noqa: S310
            content: bytes = reply.read()
            return content
    except (URLError, OSError) as error:
        raise BootstrapError(f"{request.full_url}: {error}") from error


def fetch_wheel(index: str, context: ssl.SSLContext) -> bytes:
    """The wheel of pip, in the pinned version, from a package index; BootstrapError where it has none, or another."""
    name = f"pip-{VERSION}-py3-none-any.whl"
    page = f"{index.rstrip('/')}/pip/"
    links = _Links()
    links.feed(fetch(page, context).decode("utf-8", "replace"))
    for link in links.found:
        url = urldefrag(urljoin(page, link)).url
        if unquote(urlsplit(url).path).rpartition("/")[2] != name:
            continue
        if urlsplit(url).netloc == urlsplit(page).netloc.rpartition("@")[2]:  # the same server: the same password
            url = urlunsplit(urlsplit(url)._replace(netloc=urlsplit(page).netloc))
        wheel = fetch(url, context)
        digest = hashlib.sha256(wheel).hexdigest()
        if digest != SHA256:
            raise BootstrapError(f"{name} has the SHA-256 {digest}, not {SHA256}: it was not used")
        return wheel
    raise BootstrapError(f"the package index has no {name}")


def install(wheel: bytes) -> None:
    """Lets pip install itself from its own wheel, without asking any index."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"pip-{VERSION}-py3-none-any.whl"
        path.write_bytes(wheel)
        options = ["install", "--quiet", "--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", str(path)]
        done = subprocess.run([sys.executable, f"{path}/pip", *options], check=False)  # noqa: S603
    if done.returncode:
        raise BootstrapError("pip could not install itself")


def main() -> None:
    if sys.prefix == sys.base_prefix:
        raise BootstrapError("this is no virtual environment: call it as .venv/bin/python deploy/bootstrap_pip.py")
    files = config_files(os.environ)
    context = ssl.create_default_context(cafile=setting("cert", os.environ, files))
    install(fetch_wheel(setting("index-url", os.environ, files) or PYPI, context))
    print(f"pip {VERSION} installed")


if __name__ == "__main__":
    try:
        main()
    except BootstrapError as error:
        sys.exit(f"pip: {error}\nInstall it in another way: apt-get install python3-venv, then make again")
