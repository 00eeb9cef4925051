"""The queue of an engine: order, places, deadlines, callers that leave, and engines that stick."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from export.bundle import Bundle
from export.runtimes import Runtime
from serve.queueing import Busy, Closed, EngineOwner, Late, Limits
from serve.service import Service


class Gated(Runtime, Protocol):
    """An engine whose calls wait for its gate."""

    gate: threading.Semaphore
    began: threading.Semaphore
    threads: list[threading.Thread]


Make = Callable[..., AbstractContextManager[Service]]
PIXELS = np.zeros((1, 48, 64, 3), np.uint8)


def test_the_thread_that_loads_is_the_one_that_calls(gated: Gated, service_of: Make) -> None:
    loaders: list[threading.Thread] = []

    def load() -> Runtime:
        loaders.append(threading.current_thread())
        return gated

    gated.gate.release(3)
    with EngineOwner(load, Limits()) as owner, ThreadPoolExecutor(3) as callers:
        list(callers.map(lambda _: owner.admit()(PIXELS), range(3)))
    assert loaders[0] is not threading.current_thread()
    assert gated.threads == loaders * 3


def test_what_loading_raises_is_raised(tiny_bundle: Bundle) -> None:
    def load() -> Runtime:
        raise ValueError("no such engine")

    with pytest.raises(ValueError, match="no such engine"), EngineOwner(load, Limits()):
        pass


def test_an_engines_error_is_its_callers_and_the_next_is_answered(service_of: Make) -> None:
    with service_of() as service:
        with service.owner.admit() as place, pytest.raises(ValueError, match="Resize the image"):
            place(PIXELS[:, :5])
        with service.owner.admit() as place:
            assert place(PIXELS).shape == (1, 48, 64)
        assert service.owner.calls == 2


def test_places_are_bounded_and_free_again(gated: Gated, service_of: Make) -> None:
    with service_of(gated, Limits(2, 30.0)) as service:
        with service.owner.admit(), service.owner.admit() as second:
            with pytest.raises(Busy) as busy:
                service.owner.admit()
            assert busy.value.seconds >= 1
            second.close()
            second.close()
            with service.owner.admit(), pytest.raises(Busy):
                service.owner.admit()
        assert not service.owner.places


def test_a_deadline_ends_the_wait_and_what_waited_is_never_run(
    gated: Gated, service_of: Make
) -> None:
    with service_of(gated, Limits(4, 0.05)) as service, ThreadPoolExecutor(2) as callers:
        places = [service.owner.admit() for _ in range(2)]
        waits = [callers.submit(place, PIXELS) for place in places]
        for wait in waits:
            with pytest.raises(Late):
                wait.result(30)
        assert not service.owner.waiting
        assert len(gated.threads) <= 1


def test_a_stuck_engine_is_not_ready_and_refuses_at_once(gated: Gated, service_of: Make) -> None:
    with service_of(gated, Limits(4, 0.05)) as service:
        assert service.ready
        with service.owner.admit() as place, pytest.raises(Late):
            place(PIXELS)
        assert service.owner.current is not None
        while service.ready:  # the engine began later than its picture arrived
            threading.Event().wait(0.01)
        with pytest.raises(Busy):
            service.owner.admit()
        gated.gate.release()
        while service.owner.current is not None:
            threading.Event().wait(0.01)
        assert service.ready


def test_who_leaves_is_not_waited_for(gated: Gated, service_of: Make) -> None:
    with service_of(gated) as service, ThreadPoolExecutor(3) as callers:
        first, second, third = (service.owner.admit() for _ in range(3))
        running = callers.submit(first, PIXELS)
        assert gated.began.acquire(timeout=30)
        waiting = callers.submit(second, PIXELS)
        while not service.owner.waiting:
            threading.Event().wait(0.01)
        for place, wait in ((second, waiting), (first, running)):
            place.leave()
            with pytest.raises(Closed):
                wait.result(30)
        assert not service.owner.waiting
        last = callers.submit(third, PIXELS)
        gated.gate.release(2)
        assert last.result(30).shape == (1, 48, 64)
        assert len(gated.threads) == 2


def test_closing_answers_everybody_even_past_a_stuck_engine(gated: Gated, service_of: Make) -> None:
    with service_of(gated) as service, ThreadPoolExecutor(2) as callers:
        waits = [callers.submit(service.owner.admit(), PIXELS) for _ in range(2)]
        assert gated.began.acquire(timeout=30)
        service.owner.close()
        for wait in waits:
            with pytest.raises(Closed):
                wait.result(30)
        with pytest.raises(Closed):
            service.owner.admit()


def test_answers_go_to_who_asked(
    service_of: Make, tiny_runtime: Runtime, scene: NDArray[np.uint8]
) -> None:
    pictures = [np.roll(scene[:48, :64], shift, 1)[None] for shift in range(20)]
    with service_of(None, Limits(20, 30.0)) as service, ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda pixels: service.owner.admit()(pixels), pictures))
    for pixels, labels in zip(pictures, answers, strict=True):
        assert np.array_equal(labels, tiny_runtime(pixels))
