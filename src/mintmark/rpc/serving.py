"""What every gRPC server has beside its own services: health and reflection, as every tool expects them, and a port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mintmark.errors import Misconfigured
from mintmark.rpc.mintmark_pb import log_pb2

if TYPE_CHECKING:
    import grpc


async def add_standard_services(server: grpc.aio.Server, *names: str) -> None:
    """Adds health and reflection for these services of ours."""
    serving = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(serving, server)
    ours = [log_pb2.DESCRIPTOR.services_by_name[name].full_name for name in names]
    reflection.enable_server_reflection((*ours, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    for name in ("", *ours):
        await serving.set(name, health_pb2.HealthCheckResponse.SERVING)


def bind(server: grpc.aio.Server, listen: str, setting: str) -> str:
    """Takes a HOST:PORT; the one that it is, where the port was 0. Raises Misconfigured, naming the setting."""
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise Misconfigured(f"{listen} is taken or cannot be bound; choose another with {setting}") from error
    return f"{listen.rpartition(':')[0]}:{port}"
