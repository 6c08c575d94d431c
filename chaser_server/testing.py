"""The pytest plugin: a server for the length of a test run, and a browser session for the length of a test.

pip registers it, so a project's tests ask for the fixtures `chaser_server` and `chaser_session` and need no import. It
costs nothing until they do: it imports nothing of the server, which runs as a process of its own. Knows the server
only by its command line and its API.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

import pytest

START_SECONDS = 60.0
STOP_SECONDS = 20.0
PLACE_SECONDS = 60.0  # how long a test waits for a place on a full server
SHOWN_LINES = 30  # of what a server that did not start has said
_ENDED = (404, 409)  # the test has ended its session by itself


@dataclass(frozen=True)
class RunningServer:
    """A server that answers: its `url` without a trailing slash, a valid API `key`, and its `log` if we started it."""

    url: str
    key: str = field(repr=False)
    log: Path | None = None

    @property
    def api(self) -> str:
        """The base of REST calls: `{api}/sessions`."""
        return f"{self.url}/v1"

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any, Message]:
        """One call of the API below `api`: status, the JSON of the answer (None without) and its headers.

        Raises `RuntimeError` when there is no server at `url`.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = Request(self.api + path, method=method, data=data, headers=headers)
        try:
            with self._opener().open(request, timeout=PLACE_SECONDS) as answer:
                return answer.status, _json(answer.read()), answer.headers
        except HTTPError as refusal:
            with refusal:
                return refusal.code, _json(refusal.read()), refusal.headers
        except URLError as error:
            raise RuntimeError(f"no chaser-server answers at {self.url}: {error.reason}") from error

    def create_session(self, **fields: object) -> Session:
        """A new session, when need be after waiting up to a minute for a place. `fields` as in `POST /v1/sessions`.

        Raises `RuntimeError` with the server's words when it refuses.
        """
        deadline = time.monotonic() + PLACE_SECONDS
        while True:
            status, answer, headers = self.ask("POST", "/sessions", fields)
            if status == 201:
                return Session(id=answer["id"], cdp_url=answer["cdp_url"], key=self.key, api=self.api)
            pause = float(headers.get("Retry-After") or "inf")  # only what may be tried again has one
            if time.monotonic() + pause > deadline:
                raise RuntimeError(f"{self.url} gave no session: {status} {_message(answer)}")
            time.sleep(pause)

    def delete_session(self, session_id: str) -> None:
        """End a session; one that has ended already is left alone. Raises `RuntimeError` when it cannot be ended."""
        status, answer, _ = self.ask("DELETE", f"/sessions/{session_id}")
        if status != 204 and status not in _ENDED:
            raise RuntimeError(f"{self.url} did not end session {session_id}: {status} {_message(answer)}")

    def _opener(self) -> OpenerDirector:
        """A server of our own is on loopback, which no HTTP proxy of the environment leads to."""
        return build_opener(ProxyHandler({})) if self.log else build_opener()


@dataclass(frozen=True)
class Session:
    """A browser session: give `cdp_url` to a CDP client at once; `{api}/sessions/{id}` with `key` is the REST side."""

    id: str
    cdp_url: str
    key: str = field(repr=False)
    api: str


class DidNotStart(RuntimeError):
    """The server did not come up; the message holds what it said."""


@contextmanager
def started(data_dir: Path, arguments: Sequence[str] = (), folder: Path | None = None) -> Iterator[RunningServer]:
    """A server process on a free loopback port, ended with everything of it at the end of the block.

    `data_dir` is an empty directory for its database and log; `arguments` go to its command line; it runs in `folder`,
    where it also looks for a `chaser.toml`. Raises `DidNotStart`.
    """
    from chaser_server.tokens import new_key

    key, log = new_key(), data_dir / "server.log"
    command = [sys.executable, "-m", "chaser_server", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, *arguments],
            env={**os.environ, "CHASER_KEY": key},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for pytest, which ends its sessions first
        )
    try:
        yield RunningServer(url=_ready_url(process, log), key=key, log=log)
    finally:
        _stop(process)


def _ready_url(process: subprocess.Popen[str], log: Path) -> str:
    """The address on the ready line."""
    assert process.stdout is not None
    said: list[str] = []
    watchdog = threading.Timer(START_SECONDS, process.kill)  # ends the reading below
    watchdog.start()
    try:
        for line in process.stdout:
            if " ready on " in line:
                return line.split(" ready on ")[1].strip()
            said.append(line)
    finally:
        watchdog.cancel()
    said += log.read_text(errors="replace").splitlines(keepends=True)
    words = "".join(said[-SHOWN_LINES:]).strip() or "it said nothing"
    raise DidNotStart(f"chaser-server did not start (exit status {process.wait()}):\n\n{words}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _json(body: bytes) -> Any:
    return json.loads(body) if body[:1] in (b"{", b"[") else None


def _message(answer: Any) -> str:
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    return str(error.get("message", "without a word"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options, each also a line of the ini file."""
    group = parser.getgroup("chaser-server")
    group.addoption("--chaser-url", metavar="URL", help="use the chaser-server that runs there, and start none")
    group.addoption(
        "--chaser-key", metavar="KEY", help="an API key for --chaser-url; else the environment's CHASER_KEY"
    )
    parser.addini("chaser_url", "as --chaser-url")
    parser.addini("chaser_key", "as --chaser-key (better in the environment: a key is a secret)")
    parser.addini("chaser_args", "more arguments for the server that is started", type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "chaser(profile=..., ttl_seconds=...): what chaser_session asks for, as in POST /v1/sessions"
    )


@pytest.fixture(scope="session", name="chaser_server")
def running_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A chaser-server for the whole run: the one named by --chaser-url, else one started for it."""
    if url := _setting(pytestconfig, "chaser_url"):
        key = _setting(pytestconfig, "chaser_key") or os.environ.get("CHASER_KEY", "")
        if not key:
            pytest.fail("--chaser-url needs an API key: --chaser-key, or CHASER_KEY in the environment", pytrace=False)
        yield RunningServer(url=url.rstrip("/"), key=key)
        return
    arguments: list[str] = pytestconfig.getini("chaser_args")
    with _plainly(), started(tmp_path_factory.mktemp("chaser-server"), arguments, pytestconfig.rootpath) as server:
        yield server


@pytest.fixture(name="chaser_session")
def fresh_session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A browser session for one test, gone after it. `@pytest.mark.chaser(profile="mobile")` says which kind."""
    server: RunningServer = request.getfixturevalue("chaser_server")
    marker = request.node.get_closest_marker("chaser")
    with _plainly():
        session = server.create_session(**(marker.kwargs if marker else {}))
    yield session
    with _plainly():
        server.delete_session(session.id)


@contextmanager
def _plainly() -> Iterator[None]:
    """What went wrong with the server, without our own code's traceback before it."""
    try:
        yield
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)


def _setting(config: pytest.Config, name: str) -> str:
    chosen: str = config.getoption(name) or config.getini(name)
    return chosen
