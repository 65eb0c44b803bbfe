"""A signal's handler that raises, as Ctrl-C does, must not leave the lock held."""

import signal
import threading

from runbundle.process.mutex import Mutex


class _Interrupt(BaseException):
    pass


def test_an_interrupt_while_entering_or_leaving_frees_the_lock() -> None:
    """An interrupt while entering or leaving frees the lock."""
    mutex = Mutex()

    def interrupt(*_: object) -> None:
        raise _Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    held = False
    try:
        for _ in range(3000):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00005)
                while True:
                    with mutex:
                        pass
            except _Interrupt:
                pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        entered = threading.Event()

        def enter() -> None:
            with mutex:
                entered.set()

        threading.Thread(target=enter, daemon=True).start()
        held = not entered.wait(2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not held
