"""A real OTLP/gRPC receiver that takes all, and may say that it rejected a part."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class GrpcReceiver:
    """Serves on a free port within a `with` block."""

    def __init__(self, rejects: int = 0) -> None:
        self.metadata: list[tuple[str, str]] = []
        """Of every request that came."""
        receiver = self

        class Service(trace_service_pb2_grpc.TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
                receiver.metadata += [(key, value) for key, value in context.invocation_metadata()]
                partial = trace_service_pb2.ExportTracePartialSuccess(rejected_spans=rejects)
                return trace_service_pb2.ExportTraceServiceResponse(partial_success=partial)

        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()
