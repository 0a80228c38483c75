"""Packs the artifacts for AWS into `infra/dist/`: a release for hosts, the Lambdas, their layer."""  # noqa: INP001 - run as a file

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "infra" / "dist"
LAYER_PACKAGES = ("messages", "receipt_dynamo", "workers")
LAYER_PYTHON = "3.12"
LAYER_PLATFORM = "manylinux2014_x86_64"
"""What `functions.py` says of the Lambdas' runtime and architecture, in pip's words."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""One date for all, so that the same content is the same zip and Pulumi sees no change."""


def main() -> None:
    """Make all three."""
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        wheels, site = Path(name) / "wheels", Path(name) / "site"
        _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
        _install_dependencies(site)
        write_zip(DIST / "release.zip", release_files(wheels))
        write_zip(DIST / "layer.zip", layer_files(site))
        write_zip(DIST / "lambdas.zip", lambda_files())


def release_files(wheels: Path) -> Iterator[tuple[str, Path]]:
    """What a host gets: units and boot script, exact versions, the wheel."""
    yield "constraints.txt", ROOT / "constraints.txt"
    yield from _below(ROOT / "systemd", "systemd")
    yield from _below(wheels, "wheels")


def lambda_files() -> Iterator[tuple[str, Path]]:
    """The handlers, each at the top."""
    for path in (ROOT / "infra" / "lambdas").glob("*.py"):
        yield path.name, path


def layer_files(site: Path) -> Iterator[tuple[str, Path]]:
    """What the Lambdas import: our packages without torch, and what these need; it looks below `python/`."""
    for package in LAYER_PACKAGES:
        yield from _below(ROOT / package, f"python/{package}")
    yield from _below(site, "python")


def write_zip(target: Path, files: Iterable[tuple[str, Path]]) -> None:
    """Write a zip that depends on names and content alone."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())


def _below(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{prefix}/{path.relative_to(folder).as_posix()}", path


def _install_dependencies(site: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    _pip(
        "install",
        "--target",
        str(site),
        "--no-compile",
        "--only-binary=:all:",
        f"--platform={LAYER_PLATFORM}",
        f"--python-version={LAYER_PYTHON}",
        f"--constraint={ROOT / 'constraints.txt'}",
        *project["dependencies"],
    )
    shutil.rmtree(site / "bin", ignore_errors=True)


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments, "--quiet"], check=True)  # noqa: S603 - our own words


if __name__ == "__main__":
    main()
