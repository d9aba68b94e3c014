"""The run that is killed: index the folder argv[1] into argv[2] with commits of argv[3] photos."""

import sys

from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.models.choice import ModelChoice

if __name__ == "__main__":
    config = IndexingConfig(
        choice=ModelChoice(model="efficientnet_lite0"), batch_size=4, commit_photos=int(sys.argv[3])
    )
    index_folder(sys.argv[1], sys.argv[2], config)
