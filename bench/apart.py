"""Runs a part of a benchmark in a process of its own, so that it shares no interpreter lock."""

import asyncio
import multiprocessing
import resource
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def apart(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of `work(...)`, run in a fresh process; a coroutine function runs on uvloop.

    Raises:
        Exception: whatever the work raised.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_run, work, args, kwargs).result()


def _run(work: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    raise_file_limit()
    if asyncio.iscoroutinefunction(work):
        return uvloop.run(_as_coroutine(work, args, kwargs))
    return work(*args, **kwargs)


async def _as_coroutine(
    work: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> T:
    return await work(*args, **kwargs)


def raise_file_limit() -> None:
    """A connection is a file: allow as many as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
