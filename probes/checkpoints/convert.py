"""Pickled checkpoints written as safetensors: the same names and bits, read with weights only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from probes.checkpoints.files import INDEX, WEIGHTS, pickle_files
from probes.checkpoints.inspect import inspect_checkpoint
from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import Tensor

BESIDE = ("*.json", "*.txt", "*.model")
"""Configuration and tokenizer, copied as they are."""
PICKLE_INDEX = "pytorch_model.bin.index.json"
_NESTED = ("state_dict", "model_state_dict", "model")


def convert_checkpoint(source: Path, folder: Path) -> tuple[list[str], int]:
    """Write the checkpoint of `source` into a new folder with safetensors in place of pickles, and inspect it.

    Only tensors and plain containers are unpickled (torch's weights_only); a file that asks for more is not read.

    Returns:
        Names of the pickles that were read, and how many tensors they held.

    Raises:
        ProbeError: the source has no pickles, one of them holds more than weights, the folder is not empty, or what
            was written is no checkpoint that can be measured.
    """
    files = _files_to_read(source)
    if folder.exists() and any(folder.iterdir()):
        raise ProbeError(f"{folder} is not empty; name a folder that is not there yet.")
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    try:
        count = _write(unfinished, files)
        _copy_beside(source, unfinished)
        inspect_checkpoint(str(unfinished))
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return [file.name for file in files], count


def _copy_beside(source: Path, folder: Path) -> None:
    for file in (file for pattern in BESIDE for file in source.glob(pattern)):
        if not file.name.endswith(".index.json"):
            shutil.copy(file, folder / file.name)


def _files_to_read(source: Path) -> list[Path]:
    """The shards of the index, or the only pickle there is."""
    index = source / PICKLE_INDEX
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [source / Path(name).name for name in sorted(names)]
    found = pickle_files(source)
    if not found:
        raise ProbeError(f"checkpoint {source} holds no pickled weights; there is nothing to convert.")
    if len(found) > 1:
        raise ProbeError(
            f"checkpoint {source} holds {len(found)} pickles ({found[0].name}, {found[1].name}) and no {PICKLE_INDEX} "
            "that says how they belong together; keep the one that is the model."
        )
    return found


def _write(folder: Path, files: list[Path]) -> int:
    from safetensors.torch import save_file

    weight_map: dict[str, str] = {}
    total = 0
    for number, file in enumerate(files, 1):
        name = WEIGHTS if len(files) == 1 else f"model-{number:05d}-of-{len(files):05d}.safetensors"
        tensors = _read(file)
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
        total += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if len(files) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    return len(weight_map)


def _read(file: Path) -> dict[str, Tensor]:
    """Tensors by name, each with its own storage: tied ones share one in a pickle, which safetensors does not hold."""
    import torch

    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, OSError, RuntimeError, EOFError, AttributeError) as error:
        raise ProbeError(
            f"{file} was not read, because it is no torch file or holds more than weights, which could run code; "
            "convert it with the program that wrote it."
        ) from error
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    named = content if isinstance(content, Mapping) else {}
    tensors = {str(k): v.clone().contiguous() for k, v in named.items() if isinstance(v, torch.Tensor)}
    if not tensors:
        raise ProbeError(f"{file} holds no tensors by name; convert it with the program that wrote it.")
    return tensors
