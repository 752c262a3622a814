"""The door of the service `Mint`: a call without a known token ends there, before any of its message is received.

A handler hears of a call only once its message is whole in memory, which is late to find out that nobody knows the
sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from mintmark.errors import Forbidden
from mintmark.rpc.mintmark_pb import log_pb2
from mintmark.rpc.status import refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mintmark.auth.tokens import Tokens

    Handler = grpc.RpcMethodHandler[Any, Any]

MINT = f"/{log_pb2.DESCRIPTOR.services_by_name['Mint'].full_name}/"


class AuthInterceptor(grpc.aio.ServerInterceptor):
    """Lets through who has a token, and whoever only reads."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The method's handler, or one that refuses."""
        if details.method.startswith(MINT):
            try:
                self._tokens.find(details.invocation_metadata)
            except Forbidden as error:
                return _refusing(error)
        return await continuation(details)


def _refusing(error: Forbidden) -> Handler:
    """A handler of a stream of requests: it is called at once, and receives only what it asks for."""

    async def call(requests: object, context: Any) -> None:
        await refuse(context, error)

    return grpc.stream_unary_rpc_method_handler(call)
