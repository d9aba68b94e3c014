"""Milvus Lite behind TLS and a token, for tests: python secured.py FOLDER PORT KEY CERTIFICATE TOKEN"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.db import MilvusLite
from pymilvus.grpc_gen import milvus_pb2_grpc


class Token(grpc.ServerInterceptor):
    """Lets through calls that bring the token, as Milvus expects it."""

    def __init__(self, token: str) -> None:
        self._wanted = ("authorization", base64.b64encode(token.encode()).decode())

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        if self._wanted in [(pair.key, pair.value) for pair in details.invocation_metadata]:
            return continuation(details)

        def refuse(_: Any, context: Any) -> None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")

        return grpc.unary_unary_rpc_method_handler(refuse)


def main(folder: str, port: str, key: str, certificate: str, token: str) -> None:
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[Token(token)])
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(MilvusLite(folder)), server)
    pair = (Path(key).read_bytes(), Path(certificate).read_bytes())
    server.add_secure_port(f"localhost:{port}", grpc.ssl_server_credentials([pair]))
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
