"""The program that runs inside a session's sandbox and hands its sockets out.

It starts the display and the browser, and answers requests on the socket it inherited by passing *file descriptors*
(SCM_RIGHTS): the listening socket of the egress proxy, connected DevTools and X sockets, the framebuffer file. No byte
of a session passes through it. It runs on the system's Python with nothing but the standard library, so it imports
nothing of ours. When the server's end of the socket closes, or the browser exits, it ends everything and goes.

Messages are lines of JSON. In: first the plan, then `{"want": "egress" | "devtools" | "display" | "framebuffer"}`, one
at a time. Out: `{"port": n}` with one descriptor, or `{"error": "..."}` without.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

POLL_SECONDS = 0.004
END_SECONDS = 5.0
FIRST_DISPLAY = 100  # people's own screens, and those of other programs, have lower numbers
DISPLAY_SOCKET = "/tmp/.X11-unix/X{}"
DISPLAY_LOCK = "/tmp/.X{}-lock"
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class Channel:
    """The server's end: JSON lines in, JSON lines with descriptors out."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def wait(self, seconds: float | None = None, *others: int) -> list[int | socket.socket]:
        """Wait for a message or for one of `others`; returns what is ready."""
        if b"\n" in self._buffer:
            return [self.sock]
        watched: list[int | socket.socket] = [self.sock, *others]
        return select.select(watched, [], [], seconds)[0]

    def read(self) -> dict[str, Any] | None:
        """The next message, or None when the server has gone."""
        while b"\n" not in self._buffer:
            received = self.sock.recv(65536)
            if not received:
                return None
            self._buffer += received
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def give(self, descriptor: int, port: int = 0) -> None:
        socket.send_fds(self.sock, [json.dumps({"port": port}).encode() + b"\n"], [descriptor])

    def refuse(self, why: str) -> None:
        self.sock.sendall(json.dumps({"error": why}).encode() + b"\n")


class Doorman:
    """The processes of one session and the answers about them."""

    def __init__(self, channel: Channel, plan: dict[str, Any]) -> None:
        self._channel = channel
        self._plan = plan
        self._children: list[subprocess.Popen[bytes]] = []
        self._egress = socket.create_server(("127.0.0.1", plan["egress_port"]), backlog=512)
        self._egress_port = self._egress.getsockname()[1]
        self._devtools_port = plan["devtools_port"] or free_port()
        self._display: int | None = None

    def serve(self) -> int:
        """Run the session; returns the browser's exit code, or 128 + the signal that ended it."""
        if self._plan["display"]:
            self._start_display()
        browser = self._start_browser()
        exited = watch_exit(browser)
        while True:
            if exited in self._channel.wait(None, exited):
                code = browser.wait()
                return code if code >= 0 else 128 - code
            request = self._channel.read()
            if request is None:
                return 0
            try:
                self._answer(request["want"], browser)
            except OSError as error:
                self._channel.refuse(str(error))

    def end(self) -> None:
        """Kill every process that this one started."""
        for child in reversed(self._children):
            child.kill()
        reap_descendants()
        if self._display is not None:
            release_display(self._display)
        if self._plan["remove"]:
            shutil.rmtree(self._plan["remove"], ignore_errors=True)

    def _start_display(self) -> None:
        """Start Xvfb and wait until it answers."""
        os.makedirs(self._plan["framebuffer_dir"], exist_ok=True)
        self._display = claim_display()
        reader, writer = os.pipe()
        self._start([*self._plan["display"], f":{self._display}", "-displayfd", str(writer)], pass_fds=(writer,))
        os.close(writer)
        with open(reader, "rb") as numbers:
            if not numbers.readline():
                sys.exit("the display server (Xvfb) did not start")

    def _start_browser(self) -> subprocess.Popen[bytes]:
        ports = {"egress_port": self._egress_port, "devtools_port": self._devtools_port}
        environment = dict(os.environ)
        if self._display is not None:
            environment["DISPLAY"] = f":{self._display}"
        return self._start([text.format(**ports) for text in self._plan["browser"]], env=environment)

    def _start(self, argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, **options)
        self._children.append(child)
        return child

    def _answer(self, want: str, browser: subprocess.Popen[bytes]) -> None:
        if want == "egress":
            self._channel.give(self._egress.fileno(), self._egress_port)
            self._egress.close()
        elif want == "devtools":
            with self._connect_devtools(browser) as connection:
                self._channel.give(connection.fileno(), self._devtools_port)
        elif want == "display":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(DISPLAY_SOCKET.format(self._display))
                self._channel.give(connection.fileno())
        elif want == "framebuffer":
            with open(f"{self._plan['framebuffer_dir']}/Xvfb_screen0", "rb") as pixels:
                self._channel.give(pixels.fileno())

    def _connect_devtools(self, browser: subprocess.Popen[bytes]) -> socket.socket:
        """A connection to the DevTools port, as soon as the browser listens there."""
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._devtools_port))
            except ConnectionRefusedError:
                if self._channel.wait(POLL_SECONDS) or browser.poll() is not None:
                    raise  # the server has left, or the browser has


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def claim_display() -> int:
    """A display number that is ours until `release_display`.

    Outside a sandbox others have displays too. Xvfb with `-displayfd` replaces their sockets without asking, so the
    number is chosen here, and locked as X servers lock theirs: a file that holds a process id, made only if missing.
    """
    number = FIRST_DISPLAY
    while True:
        try:
            descriptor = os.open(DISPLAY_LOCK.format(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        except FileExistsError:
            number += 1
            continue
        with open(descriptor, "w") as lock:
            lock.write(f"{os.getpid():10d}\n")
        if not os.path.exists(DISPLAY_SOCKET.format(number)):
            return number
        os.unlink(DISPLAY_LOCK.format(number))  # somebody has it without a lock
        number += 1


def release_display(number: int) -> None:
    """Remove what a killed display server leaves behind."""
    for name in (DISPLAY_SOCKET, DISPLAY_LOCK):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name.format(number))


def watch_exit(process: subprocess.Popen[bytes]) -> int:
    """A descriptor that becomes readable when `process` has exited."""
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(process.pid)
    reader, writer = os.pipe()  # macOS: the byte that a signal handler leaves behind
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


def reap_descendants() -> None:
    """Kill what the children left behind, too. Inside a sandbox the end of its PID namespace does this anyway."""
    if sys.platform != "linux":
        return
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            pids = [int(pid) for pid in children.read().split()]
        if not pids:
            return
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def main(sock: socket.socket) -> int:
    """Read the plan from `sock` and run its session to the end."""
    if sys.platform == "linux":
        # Grandchildren that lose their parent become ours, and so can be ended.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    channel = Channel(sock)
    plan = channel.read()
    if plan is None:
        return 0
    doorman = Doorman(channel, plan)
    try:
        return doorman.serve()
    finally:
        doorman.end()


if __name__ == "__main__":
    sys.exit(main(socket.socket(fileno=int(sys.argv[1]))))
