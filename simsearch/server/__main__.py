"""`python -m simsearch.server CONFIG`, which `simsearch serve` becomes; CONFIG is `ServerConfig` as JSON."""

from __future__ import annotations

import json
import sys

from simsearch.http.config import ServerConfig
from simsearch.http.program import in_words
from simsearch.server.running import note, serve


def main() -> int:
    """Serve as the argument of this process says; 0, or 1 after an error."""
    config = ServerConfig(**json.loads(sys.argv[1]))
    return in_words(lambda: serve(config), note, debug=config.debug)


if __name__ == "__main__":
    sys.exit(main())
