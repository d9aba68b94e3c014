"""`python -m simsearch.server CONFIG`, which `simsearch serve` becomes; CONFIG is `ServerConfig` as JSON."""

from __future__ import annotations

import json
import sys
import traceback

from simsearch.errors import SimsearchError
from simsearch.http.config import ServerConfig
from simsearch.server.running import note, serve


def main() -> int:
    """Serve as the argument of this process says; 0, or 1 after an error."""
    config = ServerConfig(**json.loads(sys.argv[1]))
    try:
        return serve(config)
    except SimsearchError as exc:
        _trace(config)
        note(f"Error: {exc}")
    except Exception as exc:
        _trace(config)
        hint = "" if config.debug else "; run again with --debug for the details"
        note(f"Error: {type(exc).__name__}: {exc} (this is a bug in simsearch{hint})")
    return 1


def _trace(config: ServerConfig) -> None:
    if config.debug:
        traceback.print_exc()


if __name__ == "__main__":
    sys.exit(main())
