"""Being told to stop: SIGTERM (a machine is taken away) and Ctrl-C.

Python runs a signal's handler between two of its own instructions, and a compiler may
keep it from the next one for minutes. So a thread listens for what the interpreter
writes down the moment a signal arrives. While nothing is unsaved, as in most of what a
program does, it ends the process there and then: files half written are removed, locks
given back. Where a loop holds work that only this process has (`Stop.unsaved`), the
thread leaves word, and the loop saves and ends.

Exit codes: 42 after SIGTERM ("run me again"), 130 after Ctrl-C.
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

# Held while a file takes its name, and for ever by the thread that ends the process.
_gate = threading.RLock()
_last_words: list[Callable[[], None]] = []


class Stop:
    """Whether, and with what exit code, this process has been asked to end."""

    def __init__(self, title: str = "sparsetx") -> None:
        self.title = title
        self.code = 0
        self.unsaved = False  # set by a loop that will look here, and save
        self.pass_on: Callable[[], None] = lambda: None  # tells the other hosts

    def __bool__(self) -> bool:
        return self.code != 0

    def ask(self, number: int) -> None:
        """Note it, or end. A second Ctrl-C means now; a SIGTERM may be repeated."""
        kind = signal.Signals(number)
        again = kind is signal.SIGINT and self.code == INTERRUPTED
        if not self.unsaved:
            self._end(kind, "nothing is lost; the same command goes on from here")
        elif again:
            self._end(kind, "at once, since asked twice: unsaved work is lost")
        self.code = self.code or CODES[kind]
        self.pass_on()

    def _end(self, kind: signal.Signals, how: str) -> None:
        end(CODES[kind], f"{self.title}: stopped by {NAMES[kind]}, {how}")


def end(code: int, message: str) -> None:
    """End the process from any thread, whatever the others are doing."""
    with _gate:
        for word in reversed(_last_words):
            with contextlib.suppress(OSError):
                word()
        flush = threading.Thread(target=sys.stdout.flush, daemon=True)
        flush.start()
        flush.join(1.0)  # whoever reads the pipe may have stopped reading
        with contextlib.suppress(OSError):
            os.write(2, f"\n{message}\n".encode())
        os._exit(code)


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """A moment that is not to be cut in two, such as a file's taking its name."""
    with _gate:
        yield


@contextlib.contextmanager
def last_words(word: Callable[[], None]) -> Iterator[None]:
    """What is to be done first if the process ends at once inside this block."""
    _last_words.append(word)
    try:
        yield
    finally:
        _last_words.remove(word)


@contextlib.contextmanager
def listening(title: str) -> Iterator[Stop]:
    """Hear SIGTERM and Ctrl-C while the block runs. Only the main thread may."""
    stop = Stop(title)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    wakeup = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _noted) for number in CODES}
    thread = threading.Thread(target=_listen, args=(ear, stop), daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        mouth.close()  # which ends the thread
        thread.join()
        ear.close()


def _noted(number: int, frame: FrameType | None) -> None:
    """The thread has heard it already."""


def _listen(ear: socket.socket, stop: Stop) -> None:
    while heard := ear.recv(1):
        if heard[0] in tuple(CODES):
            stop.ask(heard[0])


def chain(stop: Stop) -> None:
    """Take SIGTERM back from C code that has installed a handler of its own since, and
    pass signals on to it: JAX tells a pod's other hosts of a preemption by it."""
    theirs = _handle_in_c(signal.SIGTERM, None)  # SIG_DFL for a moment
    signal.signal(signal.SIGTERM, _noted)
    if theirs:
        call: Any = _IN_C(theirs)
        stop.pass_on = lambda: call(int(signal.SIGTERM))


def say_at_abort(message: str) -> None:
    """abort() cannot be caught, but a handler in C still has the last word, and the
    process then dies of it."""
    said = _IN_C(lambda number: os.write(2, message.encode()) and None)
    _kept.append(said)
    _handle_in_c(signal.SIGABRT, ctypes.cast(said, ctypes.c_void_p))


_IN_C = ctypes.CFUNCTYPE(None, ctypes.c_int)
_kept: list[Any] = []  # C code will call them


def _handle_in_c(number: int, handler: Any) -> int | None:
    """Install a handler of C's own, which knows nothing of Python; the old one."""
    libc_signal = ctypes.CDLL(None).signal
    libc_signal.restype = ctypes.c_void_p
    libc_signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    old: int | None = libc_signal(number, handler)
    return old
