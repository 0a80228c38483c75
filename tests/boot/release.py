"""The files that the machine is given: the release of this checkout, and the packages of others on loan.

The release is the one that `infra/build.py` packs for hosts, and pip installs its wheel. Gigabytes of other
packages are neither fetched nor copied: the machine sees those of this environment, read-only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.build import ROOT, release_files

RELEASE = "/opt/layoutlm-release"
"""Where `infra/layoutlm_infra/user_data.py` unpacks it on a host."""
_LENT = "/opt/lent"
_OURS = ("receipt_layoutlm-", "_editable_impl_receipt_layoutlm", "__editable__")
# Debian's Python runs this at each start, in virtual environments as well.
_SITECUSTOMIZE = "etc/python3.11/sitecustomize.py"


def lent_folders() -> dict[str, Path]:
    """The folders of packages that this Python uses, by where the machine has them."""
    folders = [Path(name) for name in sys.path if Path(name).name == "site-packages"]
    return {f"{_LENT}/host-{number}": folder for number, folder in enumerate(folders)}


def lend_packages(root: Path) -> None:
    """Let every Python of a machine find what this one has, except for this project itself."""
    names = root / _LENT.lstrip("/") / "packages"
    names.mkdir(parents=True)
    for inside, folder in lent_folders().items():
        for path in folder.iterdir():
            if (
                path.suffix != ".pth"
                and not path.name.startswith(_OURS)
                and not (names / path.name).is_symlink()
            ):
                (names / path.name).symlink_to(f"{inside}/{path.name}")
    (root / _SITECUSTOMIZE).write_text(f"import sys\nsys.path.append({_LENT + '/packages'!r})\n")


def write_release(root: Path, folder: Path) -> None:
    """Build the wheel of this checkout in `folder`, and unpack the release on a machine."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(build, check=True, timeout=300)
    for name, path in release_files(folder):
        target = root / RELEASE.lstrip("/") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
