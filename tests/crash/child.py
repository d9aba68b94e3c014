"""The run that is killed: `index PHOTOS INDEX COMMIT`, `compact INDEX` or `remove PATH INDEX`."""

import sys

from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.remove import remove
from simsearch.models.choice import ModelChoice

if __name__ == "__main__":
    action, *arguments = sys.argv[1:]
    if action == "index":
        config = IndexingConfig(
            choice=ModelChoice(model="efficientnet_lite0"), batch_size=4, commit_photos=int(arguments[2])
        )
        index_folder(arguments[0], arguments[1], config)
    elif action == "compact":
        compact(arguments[0])
    else:
        remove([arguments[0]], arguments[1], yes=True)
