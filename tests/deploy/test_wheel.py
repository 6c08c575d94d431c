"""What `pip install` of this repository puts on a machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from tests.processes import ROOT

BUILD = "import setuptools.build_meta as backend; print(backend.build_wheel('.'))"


def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    package = tmp_path / "chaser_server"
    shutil.copytree(ROOT / "chaser_server", package, ignore=shutil.ignore_patterns("__pycache__"))
    files = {str(path.relative_to(tmp_path)) for path in package.rglob("*") if path.is_file()}
    built = subprocess.run([sys.executable, "-c", BUILD], cwd=tmp_path, capture_output=True, text=True, check=True)
    with ZipFile(tmp_path / built.stdout.splitlines()[-1]) as wheel:
        assert {name for name in wheel.namelist() if ".dist-info/" not in name} == files
