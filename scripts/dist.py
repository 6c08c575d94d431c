"""Build dist/chaser-server: the server, its Python and its libraries in one executable file (PyInstaller).

Two things are packed in that are no libraries: the doorman as a program of its own, for a sandbox on a machine without
Python, and the registry of phones, which otherwise Playwright's driver is asked for.
"""

import asyncio
import json
import tempfile
from pathlib import Path

import PyInstaller.__main__

import chaser_server
from chaser_server.chromium.cache import AnswerCache
from chaser_server.chromium.profiles import load_devices

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(chaser_server.__file__).parent
DIST = ROOT / "dist"
LEFT_OUT = ("playwright", "patchright", "pytest", "tkinter", "numpy", "setuptools", "pip")


def freeze(program: Path, name: str, *options: str, into: Path, work: Path) -> None:
    """One PyInstaller build."""
    PyInstaller.__main__.run(
        [
            *("--name", name, "--noconfirm", "--clean", "--log-level", "WARN", *options),
            *("--distpath", str(into), "--workpath", str(work / name), "--specpath", str(work)),
            *("--runtime-hook", str(ROOT / "scripts" / "dist_environment.py")),
            str(program),
        ]
    )


def build(work: Path) -> None:
    """Everything, with what lies about on the way in `work`."""
    devices = work / "devices.json"
    devices.write_text(json.dumps(asyncio.run(load_devices(AnswerCache(work)))))
    freeze(PACKAGE / "sandbox" / "doorman.py", "doorman", "--onedir", into=work / "parts", work=work)
    data = {
        devices: "chaser_server/chromium",
        PACKAGE / "sandbox" / "doorman.py": "chaser_server/sandbox",  # for machines with a Python
        work / "parts" / "doorman": "doorman",
        PACKAGE / "web" / "static": "chaser_server/web/static",
    }
    options = [f"--add-data={source}:{target}" for source, target in data.items()]
    options += [f"--exclude-module={name}" for name in LEFT_OUT]
    options += ["--onefile", "--paths", str(PACKAGE.parent), "--hidden-import", "_cffi_backend"]
    freeze(PACKAGE / "__main__.py", "chaser-server", *options, into=DIST, work=work)
    print(f"{DIST}/chaser-server  {(DIST / 'chaser-server').stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
