"""The images and the build as they are written: from an index or from a folder of packages, with one setuptools."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "deploy" / "README.md").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def test_an_image_is_built_from_an_index_or_from_a_folder() -> None:
    assert not DOCKERFILE.startswith("# syntax")
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert bases == {"scratch", "python:3.11-slim-bookworm", "base"}
    assert "COPY requirements.lock wheel[s] /\n" in DOCKERFILE  # the pattern may match nothing, a name may not
    assert "no-index = true\\nfind-links = /wheels\\n" in DOCKERFILE
    installing = [
        step for step in DOCKERFILE.replace("\\\n", " ").splitlines() if step.startswith("RUN") and "pip install" in step
    ]
    assert len(installing) == 3
    for step in installing:
        assert "--no-deps --no-build-isolation" in step or "--mount=from=wheels,target=/wheels" in step
    assert "!wheels/" in (ROOT / ".dockerignore").read_text().split()
    assert "wheels/" in (ROOT / ".gitignore").read_text().split()


def test_concord_is_built_with_the_same_setuptools_everywhere() -> None:
    (wanted,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert re.fullmatch(r"setuptools>=\d+,<\d+", wanted)
    for text in (DOCKERFILE, GUIDE):
        assert set(re.findall(r"setuptools>=[\d.,<>=]+", text)) == {wanted}


def test_the_guide_builds_both_images_without_network() -> None:
    for target in ("infrastructure", "app"):
        command = f"docker build --network none -f deploy/Dockerfile --target {target} -t concord-{target}:0.1.0 .\n"
        assert command in GUIDE
    assert "pip wheel -c requirements.lock -w /wheels . 'setuptools" in GUIDE


def test_every_package_is_in_the_image() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    let_in = (ROOT / ".dockerignore").read_text().split()
    for package in (pattern.removesuffix("*") for pattern in found):
        assert f"COPY {package} {package}\n" in DOCKERFILE
        assert f"!{package}/" in let_in
