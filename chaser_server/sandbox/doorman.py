"""The program that runs inside a session's sandbox and hands its sockets out.

It starts the display and the browser, and answers requests on the socket it inherited by passing *file descriptors*
(SCM_RIGHTS): the listening socket of the egress proxy, connected DevTools and X sockets, the framebuffer file. No byte
of a session passes through it. It runs on the system's Python with nothing but the standard library, so it imports
nothing of ours; and every start waits for it, so it imports little (`subprocess`, `typing`, `shutil` and `ctypes`
together take as long as all it does before the browser runs). When the server's end of the socket closes, or the
browser exits, it ends everything and goes.

Messages are lines of JSON. In: first the plan, then `{"want": "egress" | "devtools" | "display" | "framebuffer"}`, one
at a time. Out: `{"port": n}` with one descriptor, or `{"error": "..."}` without.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

POLL_SECONDS = 0.004
END_SECONDS = 5.0
FIRST_DISPLAY = 100  # people's own screens, and those of other programs, have lower numbers
DISPLAY_SOCKET = "/tmp/.X11-unix/X{}"
DISPLAY_LOCK = "/tmp/.X{}-lock"
DISPLAY_BACKLOG = 128
FIRST_PASSED_DESCRIPTOR = 3  # sd_listen_fds(3)
NOWHERE_DESCRIPTOR = 4
LOWEST_NICE = 19
NICE_TRIES, NICE_SECONDS = 5, 0.1  # the kernel takes a change ten times a second, from all processes together
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
CANNOT_START = 127  # as a shell says it


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


class Child:
    """A program that this one has started."""

    def __init__(self, argv: list[str], environment: dict[str, str], passed: int | None, *, listens: bool) -> None:
        """A descriptor may be `passed` on to it, see `become`."""
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            become(argv, environment, passed, listens=listens)

    def poll(self) -> int | None:
        """Its exit code, -N for signal N; None while it runs."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int:
        """Its exit code, waited for."""
        code = self._wait(0)
        assert code is not None
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _wait(self, options: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, options)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


class Doorman:
    """The processes of one session and the answers about them."""

    def __init__(self, channel: Channel, plan: dict[str, Any]) -> None:
        self._channel = channel
        self._plan = plan
        self._children: list[Child] = []
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
            import shutil

            shutil.rmtree(self._plan["remove"], ignore_errors=True)

    def _start_display(self) -> None:
        """Start Xvfb: on a socket that listens already, so that nobody need wait for it, or else wait until it does."""
        os.makedirs(self._plan["framebuffer_dir"], exist_ok=True)
        number = self._display = claim_display()
        argv = [*self._plan["display"], f":{number}", "-displayfd"]
        if self._plan["display_takes_socket"]:
            with listen_for_display(number) as listener:
                self._start([*argv, str(NOWHERE_DESCRIPTOR)], dict(os.environ), listener.fileno(), listens=True)
            return
        reader, writer = os.pipe()
        self._start([*argv, str(FIRST_PASSED_DESCRIPTOR)], dict(os.environ), writer)
        os.close(writer)
        with open(reader, "rb") as numbers:
            if not numbers.readline():
                sys.exit("the display server (Xvfb) did not start")

    def _start_browser(self) -> Child:
        ports = {"egress_port": self._egress_port, "devtools_port": self._devtools_port}
        environment = dict(os.environ)
        if self._display is not None:
            environment["DISPLAY"] = f":{self._display}"
        return self._start([text.format(**ports) for text in self._plan["browser"]], environment)

    def _start(
        self, argv: list[str], environment: dict[str, str], passed: int | None = None, *, listens: bool = False
    ) -> Child:
        child = Child(argv, environment, passed, listens=listens)
        self._children.append(child)
        return child

    def _answer(self, want: str, browser: Child) -> None:
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

    def _connect_devtools(self, browser: Child) -> socket.socket:
        """A connection to the DevTools port, as soon as the browser listens there."""
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._devtools_port))
            except ConnectionRefusedError:
                if self._channel.wait(POLL_SECONDS) or browser.poll() is not None:
                    raise  # the server has left, or the browser has


def become(argv: list[str], environment: dict[str, str], passed: int | None, *, listens: bool) -> NoReturn:
    """Turn this process, a forked one, into a program that reads nothing, writes to stderr, and inherits no more.

    But for what is `passed`, as the number 3: if that `listens`, the program is told as sd_listen_fds(3) says. The
    number 4 leads nowhere then.
    """
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(2, 1)
        first_closed = FIRST_PASSED_DESCRIPTOR
        if passed is not None:
            os.set_inheritable(passed, True)  # which dup2 does not do when the number is right already
            os.dup2(passed, FIRST_PASSED_DESCRIPTOR)
            os.dup2(0, NOWHERE_DESCRIPTOR)
            first_closed = NOWHERE_DESCRIPTOR + 1
        if listens:
            environment = {**environment, "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        os.closerange(first_closed, os.sysconf("SC_OPEN_MAX"))
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and ignoring is inherited
            signal.signal(ignored, signal.SIG_DFL)
        os.execvpe(argv[0], argv, environment)
    except (OSError, ValueError) as error:
        print(f"cannot start {argv[0]}: {getattr(error, 'strerror', None) or error}", file=sys.stderr, flush=True)
    finally:
        os._exit(CANNOT_START)


def leave_processor_to_others() -> None:
    """Have this session's processes get only what nobody else asks for, until the server says otherwise.

    It is the autogroup's nice value, see `priority`; where the kernel has no such thing, nothing changes.
    """
    for _ in range(NICE_TRIES):
        try:
            with open("/proc/self/autogroup", "w") as autogroup:
                autogroup.write(str(LOWEST_NICE))
            return
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return
        time.sleep(NICE_SECONDS)


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


def listen_for_display(number: int) -> socket.socket:
    """The listening socket of a claimed display."""
    path = DISPLAY_SOCKET.format(number)
    try:
        os.mkdir(os.path.dirname(path))
        os.chmod(os.path.dirname(path), 0o1777)  # noqa: S103  # as X servers make it: others share it without a sandbox
    except FileExistsError:
        pass
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(DISPLAY_BACKLOG)
    return listener


def release_display(number: int) -> None:
    """Remove what a killed display server leaves behind."""
    for name in (DISPLAY_SOCKET, DISPLAY_LOCK):
        try:
            os.unlink(name.format(number))
        except FileNotFoundError:
            pass


def watch_exit(process: Child) -> int:
    """A descriptor that becomes readable when `process` has exited."""
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(process.pid)
    reader, writer = os.pipe()  # macOS: the byte that a signal handler leaves behind
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


def adopt_orphans() -> None:
    """Have descendants that lose their parent become our children, so that they can be ended."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


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
    sock.set_inheritable(False)
    channel = Channel(sock)
    plan = channel.read()
    if plan is None:
        return 0
    if plan["in_background"]:
        leave_processor_to_others()
    if plan["remove"]:  # no sandbox around: no PID namespace ends what is left
        adopt_orphans()
    doorman = Doorman(channel, plan)
    try:
        return doorman.serve()
    finally:
        doorman.end()


if __name__ == "__main__":
    sys.exit(main(socket.socket(fileno=int(sys.argv[1]))))
