"""How `simsearch serve` listens, and what it takes in before it says no."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What a server of queries is started with.

    Attributes:
        index: name or folder of the index; None is the usual one.
        host: the address to listen at; without a token it has to be this machine's own.
        port: 0 takes any that is free.
        token_file: a file with the token that every request has to carry; else $SIMSEARCH_TOKEN, else none.
        batch: so many queries at most go through the network, and through FAISS, at once; 1 is one by one.
        workers: decoding processes.
        warm: whether the network is loaded at the start, and `readyz` waits for it.
        max_upload, max_request: bytes of a picture, and of a request with all its pictures.
        max_examples: pictures of one query, those to be like and unlike together.
        max_hits: the most that `k` and `offset` may be.
        rate: requests a second of one address, of which it may save up for two seconds; 0 is no bound.
        concurrency: requests that are answered or wait at once.
        timeout: seconds from a request's first byte to its answer.
        pause: seconds without a byte of a request.
        json, quiet, debug: as on every command.
    """

    index: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: str | None = None
    batch: int = 32
    workers: int = 2
    warm: bool = False
    max_upload: int = 32 << 20
    max_request: int = 64 << 20
    max_examples: int = 16
    max_hits: int = 1000
    rate: float = 200.0
    concurrency: int = 64
    timeout: float = 30.0
    pause: float = 10.0
    json: bool = False
    quiet: bool = False
    debug: bool = False
