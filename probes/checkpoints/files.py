"""The weight files of a checkpoint folder: exactly those that transformers reads, or one sentence why there are none.

The order is that of `_get_resolved_checkpoint_files` in transformers 5: what `transformers_weights` in config.json
names, else model.safetensors, else the shards of model.safetensors.index.json. Only file names, sizes and headers are
looked at, so a folder can be asked every few seconds while it is copied.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.errors import ProbeError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
INDEX_SUFFIX = ".safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
ADAPTER = "adapter_config.json"
HEADER_LIMIT_BYTES = 100_000_000  # the limit of the safetensors format itself


@dataclass(frozen=True)
class StoredTensor:
    """One tensor as the header of its file describes it; `dtype` is safetensors' name, such as F32 or BF16."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...] = field(default=())


def weight_files(folder: Path) -> list[Path]:
    """Safetensors files that transformers reads, in the order of their names; empty when there are none.

    Raises:
        ProbeError: the folder holds two sets of weights, or names files outside itself.
    """
    named = _named_in_config(folder)
    if named is None:
        return _found_in(folder)
    if named.endswith(INDEX_SUFFIX):
        return _shards(folder / named)
    return [_inside(folder, named)]


def _named_in_config(folder: Path) -> str | None:
    """The file that `transformers_weights` asks for; it goes before all others."""
    config = folder / "config.json"
    named = read_json(config).get("transformers_weights") if config.is_file() else None
    if named is None:
        return None
    if not isinstance(named, str) or not named.endswith((".safetensors", INDEX_SUFFIX)):
        raise ProbeError(
            f"{config} names {named!r} as transformers_weights, which is no safetensors file; correct the entry."
        )
    _inside(folder, named)
    return named


def _found_in(folder: Path) -> list[Path]:
    whole, index = folder / WEIGHTS, folder / INDEX
    if not index.is_file():
        return [whole] if whole.is_file() else []
    if not whole.is_file():
        return _shards(index)
    if not _is_stale(index):
        raise ProbeError(
            f"checkpoint {folder} holds two sets of weights, {WEIGHTS} and the shards of {INDEX}, and transformers "
            f"reads the first only; remove {INDEX} if {WEIGHTS} is the right one, else remove {WEIGHTS}."
        )
    return [whole]


def _is_stale(index: Path) -> bool:
    """Whether an index is what an earlier save into the same folder left: its shards are not all there."""
    shards = read_json(index)["weight_map"].values()
    return not all(isinstance(name, str) and (index.parent / name).is_file() for name in shards)


def _shards(index: Path) -> list[Path]:
    if not index.is_file():
        raise ProbeError(f"checkpoint {index.parent} has no {index.name}; {advice(index.parent)}")
    return [_inside(index.parent, name) for name in sorted(set(read_json(index)["weight_map"].values()))]


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder itself; in other folders a change of it would go unseen."""
    if Path(name).name != name:
        raise ProbeError(
            f"checkpoint {folder} reads its weights from {name}, outside the folder itself; move the file beside "
            "config.json and correct the name."
        )
    return folder / name


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the files that transformers reads, by its name in the file.

    Raises:
        ProbeError: a file cannot be read, or two of them hold a tensor of the same name.
    """
    found: dict[str, StoredTensor] = {}
    for file in weight_files(folder):
        for name, entry in read_header(file).items():
            if name in found:
                raise ProbeError(
                    f"checkpoint {folder} holds tensor {name} twice, in {found[name].file.name} and in {file.name}, "
                    "which are of different saves; remove the file that is the older one and its index."
                )
            found[name] = StoredTensor(name, file, str(entry.get("dtype")), tuple(entry.get("shape") or ()))
    return found


def is_complete(folder: Path) -> str | None:
    """None when the files are there to be loaded, else one sentence that says what is wrong and what to do."""
    try:
        return _why_incomplete(folder)
    except ProbeError as error:
        return str(error)


def require_complete(folder: Path, allow_pickle: bool = False) -> None:
    """Refuse a folder that cannot be loaded.

    Raises:
        ProbeError: with the sentence of `is_complete`.
    """
    reason = is_complete(folder)
    if reason and not (allow_pickle and "as a pickle only" in reason):
        raise ProbeError(reason)


def _why_incomplete(folder: Path) -> str | None:
    if not folder.is_dir():
        return f"checkpoint folder {folder} does not exist; check the path."
    if reason := _why_another_kind(folder):
        return reason
    if not (folder / "config.json").is_file():
        return f"checkpoint {folder} has no config.json; {advice(folder)}"
    if reason := _why_quantized(folder):
        return reason
    files = weight_files(folder)
    if not files:
        return why_no_weights(folder)
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more shards)" if len(missing) > 1 else ""
        return f"checkpoint {folder} has no {missing[0]}{more}; {advice(folder)}"
    stored_tensors(folder)
    return None


def _why_another_kind(folder: Path) -> str | None:
    """Adapters change the model they lie beside, and transformers merges them only where peft is installed."""
    if (folder / ADAPTER).is_file():
        return (
            f"checkpoint {folder} holds an adapter ({ADAPTER}), which is no model of its own; put it into a folder by "
            f"itself and `rarecall checkpoints add` merges it into its base model (extra peft), or remove {ADAPTER} to "
            "measure the base weights alone."
        )
    if (folder / ".metadata").is_file():
        return (
            f"checkpoint {folder} is a distributed checkpoint (.metadata); load it with the program that wrote it and "
            "save it with save_pretrained."
        )
    return None


def _why_quantized(folder: Path) -> str | None:
    config = read_json(folder / "config.json")
    quantized = config.get("quantization_config") or config.get("compression_config")
    if not quantized:
        return None
    method = quantized.get("quant_method") if isinstance(quantized, dict) else None
    return (
        f"checkpoint {folder} is quantized ({method or 'quantization_config in config.json'}), and rarecall measures "
        "weights as they were trained; give the repository or folder it was quantized from."
    )


def why_no_weights(folder: Path) -> str:
    """One sentence about a folder without safetensors: pickles, GGUF, or nothing."""
    if pickles := pickle_files(folder):
        return (
            f"checkpoint {folder} holds its weights as a pickle only ({pickles[0].name}), which can run code when it "
            f"is read; write safetensors with `rarecall checkpoints convert {folder} NEW_FOLDER` and add NEW_FOLDER."
        )
    if gguf := sorted(path.name for path in folder.glob("*.gguf")):
        return f"checkpoint {folder} holds GGUF weights ({gguf[0]}), which are not read; {_GGUF_ADVICE}"
    return f"checkpoint {folder} has no {WEIGHTS}; {advice(folder)}"


_GGUF_ADVICE = "give the safetensors checkpoint it was made from."


def why_file(source: str) -> str:
    """One sentence about a file that was given in place of a folder."""
    if source.endswith(".gguf"):
        return f"checkpoint {source} is a GGUF file, which is not read; {_GGUF_ADVICE}"
    return f"checkpoint {source} is a file; give the folder that holds config.json and the weights."


def pickle_files(folder: Path) -> list[Path]:
    """Weights that are pickles, by pattern and name."""
    return [path for pattern in PICKLES for path in sorted(folder.glob(pattern))]


def is_hub_snapshot(folder: Path) -> bool:
    """Whether a folder is a commit in the cache of huggingface_hub: `models--owner--name/snapshots/<commit>`."""
    return folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--")


def advice(folder: Path) -> str:
    """What to do about a folder that lacks something."""
    if is_hub_snapshot(folder):
        repository = folder.parent.parent.name.removeprefix("models--").replace("--", "/")
        return f"choose another revision of {repository}, or another repository."
    return f"wait until it is complete or remove it with `rarecall checkpoints remove {folder.name}`."


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object; of an index also the two tables that transformers needs.

    Raises:
        ProbeError: the file is no JSON object, or an index without weight_map or metadata.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ProbeError(f"{file} cannot be read as JSON; {advice(file.parent)}") from error
    if not isinstance(content, dict) or (file.name.endswith(INDEX_SUFFIX) and not _is_index(content)):
        raise ProbeError(f"{file} does not hold what its name promises; {advice(file.parent)}")
    return content


def _is_index(content: dict[str, Any]) -> bool:
    names = content.get("weight_map")
    return (
        isinstance(names, dict)
        and all(isinstance(name, str) for name in names.values())
        and isinstance(content.get("metadata"), dict)
    )


def read_header(file: Path) -> dict[str, dict[str, Any]]:
    """Header of a safetensors file by tensor name: dtype, shape and data_offsets (bytes after the header).

    Raises:
        ProbeError: the file is no safetensors file, or shorter or longer than its header says.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else HEADER_LIMIT_BYTES + 1
        if length > min(HEADER_LIMIT_BYTES, size):
            raise ProbeError(f"{file} has no readable safetensors header; {advice(file.parent)}")
        header = _parse_header(file, stream.read(length))
    promised = 8 + length + max(_ends(header), default=0)
    if promised != size:
        raise ProbeError(f"{file} has {size:,} bytes where its header says {promised:,}; {advice(file.parent)}")
    return header


def _ends(header: dict[str, dict[str, Any]]) -> Iterator[int]:
    return (entry["data_offsets"][1] for entry in header.values())


def _parse_header(file: Path, text: bytes) -> dict[str, dict[str, Any]]:
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        if not all(isinstance(end, int) for end in _ends(header)):
            raise ValueError("offsets are no numbers")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ProbeError(f"{file} has no readable safetensors header; {advice(file.parent)}") from error
    return header
