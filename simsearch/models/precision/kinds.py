"""The kinds of arithmetic besides float32: what runs each, and where one may be begun."""

from __future__ import annotations

from simsearch.errors import DeviceUnavailable
from simsearch.models.precision.processor import multiplies_bfloats, multiplies_bytes
from simsearch.models.precision.ranges import Ranges
from simsearch.spec import EmbeddingSpec

BFLOAT16, INT8 = "bfloat16", "int8"

_NOT_IN_BFLOAT16 = "efficientnet_lite"

RUNTIMES = {BFLOAT16: "torch", INT8: "onnx"}


def check_kind(spec: EmbeddingSpec, device: str, runtime: str) -> None:
    """For a spec of another precision than float32: that it is known here, and may run there.

    Raises FormatUnknown, DeviceUnavailable.
    """
    if spec.precision != BFLOAT16:
        Ranges.of_precision(spec.precision)
    check_place(spec.arithmetic, device, runtime)


def check_place(arithmetic: str, device: str, runtime: str) -> None:
    """Raises DeviceUnavailable for a device or runtime that a kind does not run on."""
    own = RUNTIMES[arithmetic]
    asked = f"--device {device}" if device not in ("auto", "cpu") else f"--runtime {runtime}"
    if device not in ("auto", "cpu") or runtime not in ("auto", own):
        raise DeviceUnavailable(f"{arithmetic} runs on the CPU, by {own}; leave out {asked}.")


def check_new(backbone: str, arithmetic: str, device: str, runtime: str) -> None:
    """`check_place`, and that this network gains by it on this processor. Raises DeviceUnavailable."""
    check_place(arithmetic, device, runtime)
    if arithmetic == BFLOAT16 and backbone.startswith(_NOT_IN_BFLOAT16):
        raise DeviceUnavailable(
            f"bfloat16 makes {backbone} slower than float32 does; index without --precision."
        )
    gains = multiplies_bytes() if arithmetic == INT8 else multiplies_bfloats()
    if not gains:
        needed = "VNNI" if arithmetic == INT8 else "AVX512_BF16 or AMX"
        raise DeviceUnavailable(
            f"{arithmetic} is quicker only on a processor with {needed}, and this one is not known to have "
            "it; index without --precision."
        )
