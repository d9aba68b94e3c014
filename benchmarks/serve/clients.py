"""Clients that ask again as soon as they are answered, in a process of their own."""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

STORED, NEW = "stored", "new"


def main(address: str, kind: str, count: str, seconds: str, source: str) -> None:
    """Ask from `count` clients for so many seconds; JSON with the milliseconds of every answer.

    `source` is the number of stored vectors to ask by, or a folder of pictures that are not indexed.
    """
    bodies = _stored(int(source)) if kind == STORED else _new(Path(source))
    clients = [_Client(address, bodies, number) for number in range(int(count))]
    end = time.perf_counter() + float(seconds)
    threads = [threading.Thread(target=client.ask_until, args=(end,)) for client in clients]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    failed = sum(client.failed for client in clients)
    times = [value for client in clients for value in client.times]
    print(json.dumps({"seconds": took, "failed": failed, "times": times}))


class _Client:
    """One connection that is kept; milliseconds from the first byte sent to the last one read."""

    def __init__(self, address: str, bodies: list[tuple[str, dict[str, str], bytes]], number: int) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
        self._bodies, self._chance = bodies, random.Random(number)
        self.times: list[float] = []
        self.failed = 0

    def ask_until(self, end: float) -> None:
        while (began := time.perf_counter()) < end:
            path, headers, body = self._chance.choice(self._bodies)
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            answer.read()
            self.failed += answer.status != 200
            self.times.append((time.perf_counter() - began) * 1000)
        self._connection.close()


def _stored(rows: int) -> list[tuple[str, dict[str, str], bytes]]:
    chance, kind = random.Random(0), {"Content-Type": "application/json"}
    ids = [chance.randint(1, rows) for _ in range(1000)]
    return [("/v1/query/indexed", kind, json.dumps({"plus": [{"id": number}]}).encode()) for number in ids]


def _new(folder: Path) -> list[tuple[str, dict[str, str], bytes]]:
    kind = {"Content-Type": "multipart/form-data; boundary=part"}
    head = b'--part\r\nContent-Disposition: form-data; name="image"; filename="new.jpg"\r\n\r\n'
    pictures = [path.read_bytes() for path in sorted(folder.iterdir())]
    return [("/v1/query", kind, head + data + b"\r\n--part--\r\n") for data in pictures]


if __name__ == "__main__":
    main(*sys.argv[1:])
