"""Cut rows into batches that fit: fixed boundaries, and half the size when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from probes.errors import ProbeError

if TYPE_CHECKING:
    import torch

Result = TypeVar("Result")

# On a processor more tokens per pass bring nothing: matrices are long enough, and activations leave the cache.
PROCESSOR_TOKENS = 1600


def in_batches(
    rows: int, batch_size: int, length: int, device: torch.device, work: Callable[[int, int], Result]
) -> Iterator[Result]:
    """Results of `work(start, stop)` over consecutive batches.

    The boundaries are a function of the arguments, so the same rows meet in a batch every time. When memory runs out
    the batch is halved, for the rest of the rows too; numbers then agree to rounding with those of the full batch.

    Args:
        rows: rows in all.
        batch_size: rows per batch at most.
        length: tokens of a row that go through the model at once; a processor gets at most 1,600 tokens per batch.
        device: where the work is done.
        work: measures rows start..stop.

    Raises:
        ProbeError: not even a single row fits.
    """
    size = batch_size
    if device.type == "cpu":
        size = max(1, min(batch_size, PROCESSOR_TOKENS // max(1, length)))
    start = 0
    while start < rows:
        stop = min(start + size, rows)
        result = _unless_out_of_memory(work, start, stop)
        if result is not None:
            yield result
            start = stop
            continue
        if stop - start == 1:
            raise ProbeError(
                f"memory does not suffice for a single paragraph on {device}; use a smaller model or device."
            )
        size = (stop - start) // 2
        _release(device)


def _unless_out_of_memory(work: Callable[[int, int], Result], start: int, stop: int) -> Result | None:
    """The result, or None when memory ran out; returning drops the failed pass' tensors with its traceback."""
    try:
        return work(start, stop)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            return None
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch says that memory ran out; each device says it in its own words."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error).lower()
    return "out of memory" in said or "can't allocate memory" in said or "not enough memory" in said


def _release(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
