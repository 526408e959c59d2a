"""Tensors kept in a temporary folder rather than in memory, read back one at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter


class Aside(Mapping[str, "Tensor"]):
    """A mapping whose values lie on disk: each look-up reads one tensor, to the device it came from; none is kept."""

    def __init__(self, tensors: Mapping[str, Tensor], folder: Path):
        import torch

        self._files = {name: folder / f"{index}.pt" for index, name in enumerate(tensors)}
        for name, file in self._files.items():
            torch.save(tensors[name].detach().contiguous(), file)

    def __getitem__(self, name: str) -> Tensor:
        import torch

        tensor: Tensor = torch.load(self._files[name], weights_only=True)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@contextmanager
def aside(tensors: Mapping[str, Tensor]) -> Iterator[Aside]:
    """Put tensors aside for as long as this lasts; the caller drops its own."""
    with tempfile.TemporaryDirectory(prefix="rarecall-") as folder:
        kept = Aside(tensors, Path(folder))
        del tensors  # or this frame would hold them until the end
        yield kept


class Originals:
    """The weights as they were: the way back after each run."""

    def __init__(self, weights: dict[str, Parameter], values: Mapping[str, Tensor]):
        self.weights, self._values = weights, values

    def restore(self) -> None:
        """Bring back all weights, bit by bit."""
        import torch

        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.data.copy_(self._values[name])


@contextmanager
def originals_of(weights: dict[str, Parameter]) -> Iterator[Originals]:
    """Keep the weights aside; whatever happens inside, they are back afterwards."""
    with aside(weights) as values:
        kept = Originals(weights, values)
        try:
            yield kept
        finally:
            kept.restore()
