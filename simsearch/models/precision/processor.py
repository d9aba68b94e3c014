"""What this processor multiplies quicker than floats."""

from __future__ import annotations

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_BYTES, _BFLOATS = {"avx512_vnni", "avx_vnni"}, {"avx512_bf16", "amx_bf16"}


def multiplies_bytes() -> bool:
    """Whether the processor has VNNI, which int8 was measured with.

    Without it an x86 processor adds products of bytes in 16 bits, where they overflow, so that the vectors
    would be others: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    return _has_one_of(_BYTES)


def multiplies_bfloats() -> bool:
    """Whether the processor multiplies bfloat16 numbers; torch works them out on any, but slower."""
    return _has_one_of(_BFLOATS)


def _has_one_of(flags: set[str]) -> bool:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(not flags.isdisjoint(line.split()) for line in lines if line.startswith("flags"))
