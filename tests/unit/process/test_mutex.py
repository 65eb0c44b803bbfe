"""The lock of the hot path: exclusive, re-entrant, and a waiting thread never holds it without the interpreter lock."""

import threading
import time

from runbundle.process.mutex import Mutex


def test_one_at_a_time() -> None:
    """Eight threads that add one to a number by reading and writing it lose none, though they are interrupted."""
    mutex, total = Mutex(), [0]

    def add() -> None:
        for _ in range(300):
            with mutex:
                seen = total[0]
                time.sleep(0)
                total[0] = seen + 1

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == [2400]


def test_a_holder_may_enter_again() -> None:
    """As the handler of a signal does that calls shutdown() in the middle of an append."""
    mutex = Mutex()
    with mutex, mutex:
        entered = threading.Event()
        thread = threading.Thread(target=lambda: (mutex.__enter__(), entered.set(), mutex.__exit__(None, None, None)))
        thread.start()
    assert entered.wait(30)
    thread.join()


def test_stepping_aside_lets_others_in() -> None:
    """A holder that waits for room is passed by those that make it."""
    mutex, done = Mutex(), threading.Event()

    def other() -> None:
        with mutex:
            done.set()

    with mutex:
        thread = threading.Thread(target=other)
        thread.start()
        while not done.is_set():
            mutex.step_aside(0.001)
    thread.join()
