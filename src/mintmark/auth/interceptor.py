"""The check of tokens before a call of the service `Mint`: without a known token, none of its message is received.

A handler is called only once its message is whole in memory. That is too late to find out that the sender is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from mintmark.errors import Unauthenticated
from mintmark.rpc.mintmark_pb import log_pb2
from mintmark.rpc.status import refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mintmark.auth.tokens import Tokens

    Handler = grpc.RpcMethodHandler[Any, Any]

PROTECTED_METHODS = f"/{log_pb2.DESCRIPTOR.services_by_name['Mint'].full_name}/"  # the beginning of their names


class AuthInterceptor(grpc.aio.ServerInterceptor):
    """Lets through callers with a known token, and every call that only reads."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The method's handler, or one that refuses the call."""
        if details.method.startswith(PROTECTED_METHODS):
            try:
                self._tokens.find(details.invocation_metadata)
            except Unauthenticated as error:
                return _refusing_handler(error)
        return await continuation(details)


def _refusing_handler(error: Unauthenticated) -> Handler:
    """A handler of a stream of requests: it is called at once, and receives only messages that it asks for."""

    async def call(requests: object, context: Any) -> None:
        await refuse(context, error)

    return grpc.stream_unary_rpc_method_handler(call)
