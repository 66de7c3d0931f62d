"""Handle SIGTERM (sent when a machine is taken away) and Ctrl-C.

Python runs a signal handler only between two of its own instructions, and a compiler
call may delay that for minutes. So a thread reads the file descriptor to which the
interpreter writes as soon as a signal arrives (`signal.set_wakeup_fd`). If nothing is
unsaved, the thread ends the process at once: incomplete files are removed and locks
released. If a loop has unsaved work (`Stop.unsaved`), the thread sets `Stop.code`, and
the loop saves and ends.

Exit codes: 42 after SIGTERM (run the same command again), 130 after Ctrl-C.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

AGAIN = 42
INTERRUPTED = 130
CODES = {signal.SIGTERM: AGAIN, signal.SIGINT: INTERRUPTED}
NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}

# Held while a file is renamed, and for ever by the thread that ends the process.
_gate = threading.RLock()
_cleanups: list[Callable[[], None]] = []


class Stop:
    """Whether this process has been asked to stop, and with what exit code it ends."""

    def __init__(self, title: str = "sparsetx") -> None:
        self.title = title
        self.code = 0
        self.unsaved = False  # set by a loop that checks this object, and saves
        self.pass_on: Callable[[], None] = lambda: None  # tells the other hosts

    def __bool__(self) -> bool:
        return self.code != 0

    def ask(self, number: int) -> None:
        """Handle a signal. A second Ctrl-C ends at once; a second SIGTERM does not."""
        kind = signal.Signals(number)
        again = kind is signal.SIGINT and self.code == INTERRUPTED
        if not self.unsaved:
            self._end(kind, "nothing is lost; the same command resumes from here")
        elif again:
            self._end(kind, "at once, since asked twice: unsaved work is lost")
        self.code = self.code or CODES[kind]
        self.pass_on()

    def _end(self, kind: signal.Signals, how: str) -> None:
        end(CODES[kind], f"{self.title}: stopped by {NAMES[kind]}, {how}")


def end(code: int, message: str) -> None:
    """End the process at once, from any thread."""
    with _gate:
        for action in reversed(_cleanups):
            with contextlib.suppress(OSError):
                action()
        flush = threading.Thread(target=sys.stdout.flush, daemon=True)
        flush.start()
        flush.join(1.0)  # not longer: the reader of a pipe may have stopped
        with contextlib.suppress(OSError):
            os.write(2, f"\n{message}\n".encode())
        os._exit(code)


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """A block during which the process is not ended, such as the renaming of a file."""
    with _gate:
        yield


@contextlib.contextmanager
def cleanup_at_end(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` if the process is ended inside this block."""
    _cleanups.append(action)
    try:
        yield
    finally:
        _cleanups.remove(action)


@contextlib.contextmanager
def listening(title: str) -> Iterator[Stop]:
    """Handle SIGTERM and Ctrl-C while the block runs; only in the main thread."""
    stop = Stop(title)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _noted) for number in CODES}
    thread = threading.Thread(target=_listen, args=(receiver, stop), daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        sender.close()  # which ends the thread
        thread.join()
        receiver.close()


def _noted(number: int, frame: FrameType | None) -> None:
    """A handler that does nothing: the thread handles the signal."""


def _listen(receiver: socket.socket, stop: Stop) -> None:
    while number := receiver.recv(1):
        if number[0] in tuple(CODES):
            stop.ask(number[0])


def chain(stop: Stop) -> None:
    """Replace a SIGTERM handler that C code has installed since, and pass signals on to
    it: JAX uses its handler to tell a pod's other hosts of a preemption."""
    theirs = _handle_in_c(signal.SIGTERM, None)  # SIG_DFL until the next line
    signal.signal(signal.SIGTERM, _noted)
    if theirs:
        call: Any = _IN_C(theirs)
        stop.pass_on = lambda: call(int(signal.SIGTERM))


def say_at_abort(message: str) -> None:
    """Print a message if C code calls abort(): it cannot be caught, but a handler in C
    runs before the process dies. Where there was one already (faulthandler's, which
    says where each thread is), it comes after."""

    def say(number: int) -> None:
        os.write(2, message.encode())
        if before:
            after: Any = _IN_C(before)
            after(number)

    said = _IN_C(say)
    _kept.append(said)
    before = _handle_in_c(signal.SIGABRT, ctypes.cast(said, ctypes.c_void_p))


_IN_C = ctypes.CFUNCTYPE(None, ctypes.c_int)
_kept: list[Any] = []  # callbacks of C code, which must not be garbage-collected


def _handle_in_c(number: int, handler: Any) -> int | None:
    """Install a signal handler in C, without Python; returns the old one."""
    libc_signal = ctypes.CDLL(None).signal
    libc_signal.restype = ctypes.c_void_p
    libc_signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    old: int | None = libc_signal(number, handler)
    return old
