"""Independent pieces of work, done by several processes: one for each core.

For work that is done by the interpreter and by NumPy, of which threads of one process
would wait for each other. Each process starts anew (`spawn`), since JAX's threads do
not survive a fork, and is sent the next piece whenever it has done one.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from sparsetx.system import signals

Work = TypeVar("Work")
Found = TypeVar("Found")


def cores() -> int:
    """Cores of this process; NPROC, which JAX reads too, takes precedence."""
    return int(os.environ.get("NPROC") or len(os.sched_getaffinity(0)))


def each(
    function: Callable[[Work], Found],
    pieces: Sequence[Work],
    count: int,
    tell: Callable[[int], None] = lambda done: None,
) -> list[Found]:
    """What a function of a module finds for each of the pieces, by `count` processes;
    by this one, if that is 1. `tell`: called with how many are done."""
    count = min(count, len(pieces))
    found: dict[int, Found] = {}
    if count < 2:
        for number, piece in enumerate(pieces):
            tell(number)
            found[number] = function(piece)
        return list(found.values())
    left = iter(enumerate(pieces))
    with _started(function, count) as ends:
        for end in ends:
            _send(end, next(left))
        while len(found) < len(pieces):
            tell(len(found))
            ready = wait(ends)
            for end in (end for end in ends if end in ready):
                number, one = _received(end)
                found[number] = one
                if (another := next(left, None)) is not None:
                    _send(end, another)
    return [found[number] for number in range(len(pieces))]


ENDED = "a process ended before its work was done: out of memory?"


def _send(end: Connection, piece: tuple[int, Any]) -> None:
    try:
        end.send(piece)
    except ConnectionError:
        raise ChildProcessError(ENDED) from None


def _received(end: Connection) -> tuple[int, Any]:
    try:
        number, one, error = end.recv()
    except (EOFError, ConnectionError):
        raise ChildProcessError(ENDED) from None
    if error is not None:
        raise error
    return number, one


@contextlib.contextmanager
def _started(function: Callable[[Any], Any], count: int) -> Iterator[list[Connection]]:
    """Connections to processes that end with the block, or with us."""
    context = multiprocessing.get_context("spawn")
    running: list[SpawnProcess] = []
    ends = []

    def stop() -> None:
        for process in running:
            process.terminate()

    with signals.cleanup_at_end(stop):
        try:
            for _ in range(count):
                end, theirs = context.Pipe()
                process = context.Process(
                    target=_work, args=(function, theirs), daemon=True
                )
                with _interrupts_held():
                    process.start()
                theirs.close()  # or the end of the process would not be seen
                running.append(process)
                ends.append(end)
            yield ends
        finally:
            stop()
            for process in running:
                process.join()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """What starts in this block leaves Ctrl-C, which a terminal sends to all processes,
    to the first one, from its first instruction on: what is held back is inherited. The
    first one loses none: it comes to another thread, or when the block ends."""
    resource_tracker.ensure_running()  # to start it would end what is held back
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(function: Callable[[Any], Any], end: Connection) -> None:
    with contextlib.suppress(BrokenPipeError, EOFError):  # it ended
        while True:
            number, piece = end.recv()
            try:
                end.send((number, function(piece), None))
            except Exception as error:
                end.send((number, None, error))
