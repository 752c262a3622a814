"""Ends one call whose client does not read, without a status: a status would wait behind what he does not read.

grpc.aio runs a call in two tasks, one for its handler and one, which began the other, for the call itself. It resets
the stream, and frees what waits in it, when neither is left. It names neither of them to the handler: so the event loop
remembers who began it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from collections.abc import Coroutine

    AnyTask = asyncio.Task[Any]

HANDLER = "_handle_exceptions"  # the name of grpc.aio's coroutine around a handler

_calls: WeakKeyDictionary[AnyTask, ref[AnyTask]] = WeakKeyDictionary()  # by the handler's task


def remember_calls() -> None:
    """Has the running event loop remember the calls that begin from now on."""
    factory: Any = _make_task
    asyncio.get_running_loop().set_task_factory(factory)


def end_call(handler: AnyTask) -> None:
    """Ends the call of a handler's task."""
    call = _calls[handler]() if handler in _calls else None
    if call is not None:
        call.cancel()
    handler.cancel()


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> AnyTask:
    task = asyncio.Task(coroutine, loop=loop, **options)
    if getattr(coroutine, "__name__", "") == HANDLER and (call := asyncio.current_task()) is not None:
        _calls[task] = ref(call)
    return task
