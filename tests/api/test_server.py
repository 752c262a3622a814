"""The socket that the read API serves on."""

import asyncio
import socket

from mintmark.api.server import _bind


async def test_a_body_is_sent_without_waiting_for_the_acknowledgement_of_its_header():
    made = asyncio.get_running_loop().create_future()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport):
            made.set_result(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    server = await asyncio.get_running_loop().create_server(Accepted, sock=_bind("127.0.0.1:0"))
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await made
        writer.close()
        await writer.wait_closed()
