from __future__ import annotations

import signal
import threading

import pytest

from vaa import process


def test_the_first_is_kept_until_it_is_looked_for(caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGINT)
    with process.graceful_interrupts():
        process.check_interrupted()
        signal.raise_signal(signal.SIGINT)
        assert process.interrupt_requested()
        assert "Once more ends it at once" in caplog.text
        with pytest.raises(KeyboardInterrupt):
            process.check_interrupted()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_ends_it_at_once_and_the_next_run_begins_anew() -> None:
    with process.graceful_interrupts():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not process.interrupt_requested()
    with process.graceful_interrupts():
        assert not process.interrupt_requested()


def test_another_thread_takes_no_signals() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def within() -> None:
        with process.graceful_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=within)
    thread.start()
    thread.join()
    assert seen == [before]
