"""Where a Milvus view lives: its address as it is typed and written down, never with a secret in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from simsearch.errors import QueryInvalid

SCHEME, TLS = "milvus", "milvus+tls"
TOKEN = "SIMSEARCH_MILVUS_TOKEN"
PORT = 19530
INDEXES = ("hnsw", "ivf", "diskann")
FORMS = (
    "milvus://HOST:19530/COLLECTION, milvus+tls://HOST:19530/COLLECTION, or for Milvus Lite "
    "milvus:///FOLDER/NAME.db/COLLECTION"
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_DRIVE = re.compile(r"/[A-Za-z]:/")


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """A collection of a Milvus server, or of a file of Milvus Lite.

    Attributes:
        host, port: the server; both None for a file.
        file: the absolute path of a file of Milvus Lite, which one process at a time can open.
        collection: how the names of its collections begin.
        index: "hnsw", "ivf" or "diskann", which index the server builds.
        database: the server's database, empty for its default one.
        tls: whether the connection is encrypted.
    """

    collection: str
    host: str | None = None
    port: int | None = None
    file: str | None = None
    index: str = INDEXES[0]
    database: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, address: str) -> MilvusAddress:
        """The address that a person typed, as FORMS says. Raises QueryInvalid for anything else."""
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError as exc:
            raise _refused(str(exc)) from exc
        if parts.scheme not in (SCHEME, TLS) or parts.fragment:
            raise _refused("it is none")
        if "@" in parts.netloc:
            raise _refused(
                f"it holds a name or a password. Put NAME:PASSWORD@HOST or TOKEN@HOST into ${TOKEN} instead"
            )
        index, database = _options(parts.query)
        where, _, collection = unquote(parts.path).rpartition("/")
        if not _NAME.fullmatch(collection):
            raise _refused("a COLLECTION is up to 100 letters, digits and _, and begins with no digit")
        if parts.hostname is None:
            return cls(collection, file=_file(where, parts.scheme), index=index, database=database)
        if where:
            raise _refused("after the host comes the collection alone; a database is named by ?db=NAME")
        return cls(collection, parts.hostname, port or PORT, None, index, database, parts.scheme == TLS)

    @property
    def uri(self) -> str:
        """What pymilvus calls the same server."""
        if self.file is not None:
            return self.file
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def server(self) -> MilvusAddress:
        """The same server and database, whatever the collection and its index."""
        return MilvusAddress("_", self.host, self.port, self.file, database=self.database, tls=self.tls)

    def __str__(self) -> str:
        if self.file is not None:
            start = f"{SCHEME}://{quote(self.file if self.file.startswith('/') else '/' + self.file)}"
        else:
            start = f"{TLS if self.tls else SCHEME}://{self.uri.partition('://')[2]}"
        options = {"db": self.database} if self.database else {}
        if self.index != INDEXES[0]:
            options["index"] = self.index
        return f"{start}/{self.collection}" + (f"?{urlencode(options)}" if options else "")


def is_milvus(view: str) -> bool:
    """Whether a kind of view is the address of a Milvus server."""
    return view.startswith((f"{SCHEME}:", f"{TLS}:"))


def _options(query: str) -> tuple[str, str]:
    """The index and the database."""
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    if len(given) < len(pairs) or given.keys() - {"index", "db"}:
        raise _refused("it takes ?index=hnsw|ivf|diskann and ?db=NAME, each once")
    if given.get("index", INDEXES[0]) not in INDEXES:
        raise _refused(f"the index is one of {', '.join(INDEXES)}")
    if "db" in given and not _NAME.fullmatch(given["db"]):
        raise _refused("the name of a database is up to 100 letters, digits and _")
    return given.get("index", INDEXES[0]), given.get("db", "")


def _file(path: str, scheme: str) -> str:
    if scheme != SCHEME or not path.startswith("/") or not path.endswith(".db"):
        raise _refused("a file of Milvus Lite is an absolute path that ends in .db, before the collection")
    return path[1:] if _DRIVE.match(path) else path


def _refused(why: str) -> QueryInvalid:
    # The address itself is not repeated: it may hold a password.
    return QueryInvalid(f"This is no address of a Milvus view: {why}. It is written {FORMS}.")
