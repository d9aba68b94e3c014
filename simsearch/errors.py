"""The errors a user can cause, as one tree; every message says what happened, to which file, what to do next.

SimsearchError
├── IndexMissing      no index where one was asked for
├── IndexEmpty        an index without a photo was searched
├── IndexMismatch     vectors of another model, weights or preprocessing
├── IndexDamaged      the bytes on disk are not those that were committed
├── IndexUnwritable   the folder, the disk or its quota refuses a write
├── IndexLocked       another process is writing
├── ViewUnavailable   the server that holds the search view cannot be used
│   └── ViewStale     what it holds is not what was fed to it
├── FormatUnknown     an index of another format version
├── RootMissing       a folder that was indexed is not there (an unmounted disk?)
├── SourceRefused     a URL that may hold a secret, or more than a source may hold
├── SourceUnreachable a store, a server or an archive cannot be read at all
├── PhotoUnreadable   this file cannot be decoded
├── NotIndexed        a path or id that the index does not hold
├── QueryInvalid      a filter, a weight or a number of a query is not what it has to be
│   └── RegionOutside a region that this picture does not have
├── EvalInvalid       what was asked of an evaluation contradicts itself
├── ModelUnknown      no backbone of that name
├── WeightsMissing    the weights are neither here nor can they be fetched
├── WeightsRefused    a checkpoint that does not fit, or is not a plain one
├── DeviceUnavailable the device or runtime asked for is not on this machine
├── PruneRefused      so much is gone that a person has to say yes
├── PlanUnreadable    a plan or journal of acts on files that is not what was written
├── ActRefused        an act on files that would not be safe, or was done or undone before
├── ActStopped        the disk or a permission stopped an act in the middle; nothing is lost
├── ClusterFailed     a Ray cluster cannot be reached or used, or failed in the middle of a run
└── ExtraMissing      an optional package is needed
"""

from __future__ import annotations


class SimsearchError(Exception):
    """Base of every error that simsearch raises on purpose."""


class IndexMissing(SimsearchError):
    """There is no index at the place named."""


class IndexEmpty(SimsearchError):
    """The index holds no photo, so it has no answer."""


class IndexMismatch(SimsearchError):
    """Two embeddings of different `EmbeddingSpec` were about to be compared."""


class IndexDamaged(SimsearchError):
    """A checksum of the index does not hold."""


class IndexUnwritable(SimsearchError):
    """The index cannot be written: permission, space or quota."""


class IndexLocked(SimsearchError):
    """Another process holds the index's writer lock."""


class ViewUnavailable(SimsearchError):
    """The server that holds the search view does not answer, refuses, or is too slow."""


class ViewStale(ViewUnavailable):
    """What the server holds is gone, incomplete, or of another build than the index names."""


class FormatUnknown(SimsearchError):
    """The index was written in a format that this version does not read."""


class RootMissing(SimsearchError):
    """A root is missing or empty; nothing was judged to be gone."""


class SourceRefused(SimsearchError):
    """A URL that may hold a secret, or one that stands for more than a source may hold."""


class SourceUnreachable(SimsearchError):
    """A store, a web server or an archive cannot be read at all; nothing was judged to be gone."""


class PhotoUnreadable(SimsearchError):
    """The file is missing, no image, or damaged."""


class NotIndexed(SimsearchError):
    """The index does not hold this path or id."""


class QueryInvalid(SimsearchError):
    """A filter, a region, a weight or a number of a query is not what it has to be."""


class RegionOutside(QueryInvalid):
    """A region that this picture does not have."""


class EvalInvalid(SimsearchError):
    """What was asked of an evaluation cannot be understood, or contradicts itself."""


class ModelUnknown(SimsearchError):
    """No backbone has this name."""


class WeightsMissing(SimsearchError):
    """The weights of a backbone are not at hand and could not be fetched."""


class WeightsRefused(SimsearchError):
    """A checkpoint was recognised as unfit for the backbone, or as unsafe."""


class DeviceUnavailable(SimsearchError):
    """The device or runtime that was asked for cannot be used here."""


class PruneRefused(SimsearchError):
    """Pruning would drop so many photos that it needs an explicit yes."""


class PlanUnreadable(SimsearchError):
    """A plan or a journal of acts on files is damaged, cut, or not of simsearch."""


class ActRefused(SimsearchError):
    """An act on files was refused before anything was touched."""


class ActStopped(SimsearchError):
    """An act on files was stopped in the middle; it can be gone on with or undone."""


class ClusterFailed(SimsearchError):
    """A Ray cluster cannot be reached or used, or its actors died; what was committed is safe."""


class ExtraMissing(SimsearchError):
    """An optional dependency is not installed."""
