"""Find a Chromium on this machine by looking at files. Starts nothing, imports no driver, and knows no config."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chaser_server.errors import MachineError

# `setup` run as root puts Playwright's browsers here: the sandbox's unprivileged user cannot look into /root.
INSTALLED_BROWSERS = Path("/opt/chaser-server/browsers")


@dataclass(frozen=True, slots=True)
class BrowserExecutable:
    """A browser that can be started: the program itself, never a wrapper script, and where it was found."""

    path: Path
    found: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of browser is called on PATH, in the folder of its wrapper, and in Playwright's folders."""

    title: str
    commands: tuple[str, ...]
    binaries: tuple[str, ...]
    playwright_globs: tuple[str, ...]
    applications: tuple[Path, ...] = ()


CHROMIUM = Kind(
    title="Chromium",
    commands=("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    binaries=("chromium", "chrome", "chromium-browser"),
    playwright_globs=("chromium-*/chrome-linux*/chrome", "chromium-*/chrome-mac*/*.app/Contents/MacOS/*"),
    applications=(
        Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
        Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    ),
)
HEADLESS_SHELL = Kind(
    title="Chromium headless shell",
    commands=("chromium-headless-shell", "chrome-headless-shell"),
    binaries=("chromium-headless-shell", "chrome-headless-shell", "headless_shell"),
    playwright_globs=(
        "chromium_headless_shell-*/*/headless_shell",
        "chromium_headless_shell-*/*/chrome-headless-shell",
    ),
)


def find_chromium(
    configured: str = "",
    *,
    uid: int | None = None,
    environ: Mapping[str, str] = os.environ,
    installed: Path = INSTALLED_BROWSERS,
) -> BrowserExecutable:
    """Find the Chromium to run headed: the configured one, else one on PATH, else Playwright's own.

    `configured` is a path or a command name, or empty. `uid` is the unprivileged user that will have to read the
    browser, None for whoever runs this. Raises MachineError with everything that was looked at and how to mend it.
    """
    return _find(CHROMIUM, configured, uid=uid, environ=environ, installed=installed)


def find_headless_shell(
    configured: str = "",
    *,
    uid: int | None = None,
    environ: Mapping[str, str] = os.environ,
    installed: Path = INSTALLED_BROWSERS,
) -> BrowserExecutable:
    """Find the small headless build of Chromium; arguments and errors as for `find_chromium`."""
    return _find(HEADLESS_SHELL, configured, uid=uid, environ=environ, installed=installed)


def readable_by(path: Path, uid: int) -> bool:
    """Whether a user without groups may run the program at `path`: by its mode and those of the folders above it."""
    path = path.resolve()
    return all(_grants(each.stat(), uid, stat.S_IROTH | stat.S_IXOTH if each == path else stat.S_IXOTH)
               for each in (path, *path.parents))  # fmt: skip


def _grants(found: os.stat_result, uid: int, wanted: int) -> bool:
    if uid == 0:
        return True
    granted = found.st_mode >> 6 if found.st_uid == uid else found.st_mode
    return granted & wanted == wanted


def _find(
    kind: Kind, configured: str, *, uid: int | None, environ: Mapping[str, str], installed: Path
) -> BrowserExecutable:
    if configured:
        return _configured(kind, configured, uid=uid, environ=environ)
    looked: list[str] = []
    for path, where in _candidates(kind, environ=environ, installed=installed):
        program, fault = _examine(kind, path, uid)
        if program is not None:
            return BrowserExecutable(program, where)
        looked.append(f"{path}: {fault}")
    looked.append(f"no {', '.join(kind.commands)} on PATH that can be used")
    looked.append(f"none in {', '.join(str(folder) for folder in _playwright_folders(environ, installed))}")
    raise MachineError(
        f"No usable {kind.title} was found.\n  " + "\n  ".join(looked) + "\n"
        "Install one with `python -m chaser_server setup`, or name one in the config as browser.executable."
    )


def _configured(kind: Kind, configured: str, *, uid: int | None, environ: Mapping[str, str]) -> BrowserExecutable:
    named = shutil.which(configured, path=environ.get("PATH", "")) or configured
    program, fault = _examine(kind, Path(named).expanduser(), uid, keep_script=True)
    if program is None:
        raise MachineError(
            f"The configured {kind.title} cannot be used.\n  {named}: {fault}\n"
            "Correct browser.executable in the config, or remove it to have one looked for."
        )
    return BrowserExecutable(program, "configured")


def _candidates(kind: Kind, *, environ: Mapping[str, str], installed: Path) -> Iterator[tuple[Path, str]]:
    for command in kind.commands:
        if on_path := shutil.which(command, path=environ.get("PATH", "")):
            yield Path(on_path), "PATH"
    for folder in _playwright_folders(environ, installed):
        found = (path for pattern in kind.playwright_globs for path in folder.glob(pattern))
        for path in sorted(found, key=_revision, reverse=True):
            yield path, "Playwright"
    for path in kind.applications:
        if path.exists():
            yield path, "Applications"


def _playwright_folders(environ: Mapping[str, str], installed: Path) -> list[Path]:
    """Where Playwright keeps its browsers (playwright.dev/python/docs/browsers#managing-browser-binaries)."""
    chosen = environ.get("PLAYWRIGHT_BROWSERS_PATH", "")
    home = Path(environ.get("HOME") or "/nonexistent")
    folders = [installed, Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "ms-playwright",
               home / "Library/Caches/ms-playwright"]  # fmt: skip
    if chosen == "0":  # "0" means: inside the package
        package = importlib.util.find_spec("playwright")
        places = package.submodule_search_locations if package else None
        return [Path(place) / "driver/package/.local-browsers" for place in places or ()] + folders
    return [Path(chosen), *folders] if chosen else folders


def _revision(path: Path) -> int:
    found = re.search(r"chromium(?:_headless_shell)?-(\d+)", str(path))
    return int(found[1]) if found else 0


def _examine(kind: Kind, path: Path, uid: int | None, *, keep_script: bool = False) -> tuple[Path | None, str]:
    """Return the program behind `path`, or None and why it cannot be used."""
    program = path.resolve()
    if not program.is_file():
        return None, "there is no such file"
    script = _script_text(program)
    if _is_snap(path, program, script):
        return None, "a snap, which cannot run inside bubblewrap"
    if script is not None:
        behind = _behind_wrapper(kind, program)
        if behind is None and not keep_script:
            return None, "a wrapper script whose browser is unknown (name it in the config to use it as it is)"
        program = behind or program
    if not os.access(program, os.X_OK):
        return None, "not executable"
    if uid is not None and not readable_by(program, uid):
        return None, f"the sandbox's user (uid {uid}) cannot read it"
    return program, ""


def _script_text(program: Path) -> str | None:
    """Return the text of a script, None for a binary or a file that cannot be read."""
    try:
        with program.open("rb") as file:
            head = file.read(64 * 1024)
    except OSError:
        return None
    return head.decode(errors="replace") if head.startswith(b"#!") else None


def _is_snap(path: Path, program: Path, script: str | None) -> bool:
    # /snap/bin/chromium is a link to /usr/bin/snap; Ubuntu's /usr/bin/chromium-browser is a script that starts it.
    return "snap" in path.parts or "snap" in program.parts or "/snap/" in (script or "")


def _behind_wrapper(kind: Kind, script: Path) -> Path | None:
    """Return the program a distribution's wrapper starts.

    Debian: /usr/bin/chromium starts /usr/lib/chromium/chromium. Chrome: google-chrome starts the `chrome` beside it.
    """
    folders = [script.parent, *(script.parent.parent / lib / name for lib in ("lib", "lib64")
                                for name in ("chromium", "chromium-browser"))]  # fmt: skip
    for folder in folders:
        for name in kind.binaries:
            program = (folder / name).resolve()
            if program != script and program.is_file() and _script_text(program) is None:
                return program
    return None
