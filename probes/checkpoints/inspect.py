"""What a checkpoint is, read from its files: completeness, facts, hash and finiteness, without loading the model."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import ProbeError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
# Everything a checkpoint needs besides pickles; nothing else is fetched from a hub.
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
HEADER_LIMIT_BYTES = 100_000_000  # the limit of the safetensors format itself


@dataclass(frozen=True)
class CheckpointFacts:
    """One checkpoint as its files describe it; the columns of the table `checkpoints` of the same names."""

    architecture: str
    layer_count: int
    head_count: int
    hidden_size: int
    context_length: int
    vocabulary_size: int
    parameter_count: int
    weights_sha256: str


def resolve_folder(source: str, revision: str | None = None, allow_pickle: bool = False) -> Path:
    """Local folder of a checkpoint: the folder itself, or the hub's snapshot (fetched when it is not cached).

    Raises:
        ProbeError: no such folder, and no hub that knows the name can be reached.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ProbeError(f"checkpoint {source} is a file; give the folder that holds config.json and the weights.")
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise ProbeError(f"checkpoint folder {source} does not exist; check the path.")
    return _hub_snapshot(source, revision, allow_pickle)


def _hub_snapshot(source: str, revision: str | None, allow_pickle: bool) -> Path:
    """Snapshot folder of a hub id; the local cache answers when the hub does not."""
    from huggingface_hub import snapshot_download

    patterns = [*HUB_FILES, *(PICKLES if allow_pickle else ())]
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub client raises a dozen unrelated types, offline ones among them
        at = f" at revision {revision}" if revision else ""
        raise ProbeError(
            f"checkpoint {source}{at} is neither a folder here nor a model that the hub gave us "
            f"({type(error).__name__}); check the name and the network, or give a local folder."
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """Safetensors files of a checkpoint in the order of their names; empty when there are none."""
    index = folder / INDEX
    if index.is_file():
        return [folder / name for name in sorted(set(_read_json(index)["weight_map"].values()))]
    return [folder / WEIGHTS] if (folder / WEIGHTS).is_file() else []


def is_complete(folder: Path) -> str | None:
    """None when the checkpoint can be loaded, else one sentence that says what is missing and what to do.

    Looks at file names, sizes and headers only, so it can be asked every few seconds while a checkpoint is copied.
    """
    try:
        return _why_incomplete(folder)
    except ProbeError as error:
        return str(error)


def _why_incomplete(folder: Path) -> str | None:
    if not folder.is_dir():
        return f"checkpoint folder {folder} does not exist; check the path."
    if not (folder / "config.json").is_file():
        return f"checkpoint {folder} has no config.json; {_advice(folder)}"
    _read_json(folder / "config.json")
    files = weight_files(folder)
    if not files:
        return _why_no_weights(folder)
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more shards)" if len(missing) > 1 else ""
        return f"checkpoint {folder} has no {missing[0]}{more}; {_advice(folder)}"
    for file in files:
        read_header(file)
    return None


def _why_no_weights(folder: Path) -> str:
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        return (
            f"checkpoint {folder} holds its weights as a pickle only ({pickles[0]}), which can run code when it is "
            "read; convert it to safetensors, or allow pickles if you trust its author."
        )
    return f"checkpoint {folder} has no {WEIGHTS}; {_advice(folder)}"


def _advice(folder: Path) -> str:
    return f"wait until it is complete or remove it with `rarecall checkpoints remove {folder.name}`."


def _read_json(file: Path) -> dict:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProbeError(f"{file} cannot be read as JSON; {_advice(file.parent)}") from error
    if not isinstance(content, dict) or (file.name == INDEX and not isinstance(content.get("weight_map"), dict)):
        raise ProbeError(f"{file} does not hold what its name promises; {_advice(file.parent)}")
    return content


def read_header(file: Path) -> dict[str, dict]:
    """Header of a safetensors file by tensor name: dtype, shape and data_offsets (bytes after the header).

    Raises:
        ProbeError: the file is no safetensors file, or shorter or longer than its header says.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else HEADER_LIMIT_BYTES + 1
        if length > min(HEADER_LIMIT_BYTES, size):
            raise ProbeError(f"{file} has no readable safetensors header; {_advice(file.parent)}")
        header = _parse_header(file, stream.read(length))
    promised = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if promised != size:
        raise ProbeError(f"{file} has {size:,} bytes where its header says {promised:,}; {_advice(file.parent)}")
    return header


def _parse_header(file: Path, text: bytes) -> dict[str, dict]:
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        if not all(isinstance(end, int) for entry in header.values() for end in entry["data_offsets"]):
            raise ValueError("offsets are no numbers")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ProbeError(f"{file} has no readable safetensors header; {_advice(file.parent)}") from error
    return header


def require_complete(folder: Path, allow_pickle: bool = False) -> None:
    """Refuse a folder that cannot be loaded.

    Raises:
        ProbeError: with the sentence of `is_complete`.
    """
    reason = is_complete(folder)
    if reason and not (allow_pickle and "as a pickle only" in reason):
        raise ProbeError(reason)


def weights_sha256(folder: Path) -> str:
    """Hash over the weight files, names and bytes, in the order of their names; pickles count where there is no
    safetensors file.

    Raises:
        ProbeError: the folder has no weights.
    """
    files = weight_files(folder) or sorted(path for pattern in PICKLES for path in folder.glob(pattern))
    if not files:
        raise ProbeError(_why_no_weights(folder))
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            raise ProbeError(f"checkpoint {folder} has no {file.name}; {_advice(folder)}")
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def inspect_checkpoint(source: str, revision: str | None = None) -> CheckpointFacts:
    """Facts of a checkpoint from its configuration and weight files; no weight is loaded.

    Parameters are counted on a model without storage (torch's meta device), so tied weights count once and
    buffers that old files carry do not count.

    Raises:
        ProbeError: the checkpoint is missing, incomplete, pickled only or of an unknown architecture.
    """
    folder = resolve_folder(source, revision)
    require_complete(folder)
    config = read_config(folder)
    _refuse_without_attention(folder, config)
    return CheckpointFacts(
        architecture=config.model_type,
        layer_count=config.num_hidden_layers,
        head_count=config.num_attention_heads,
        hidden_size=config.hidden_size,
        context_length=config.max_position_embeddings,
        vocabulary_size=config.vocab_size,
        parameter_count=_count_parameters(folder, config),
        weights_sha256=weights_sha256(folder),
    )


def _refuse_without_attention(folder: Path, config: PretrainedConfig) -> None:
    """State-space and multimodal models have no single number of heads, layers or positions."""
    needed = ("num_hidden_layers", "num_attention_heads", "hidden_size", "max_position_embeddings", "vocab_size")
    missing = [name for name in needed if not isinstance(getattr(config, name, None), int)]
    if missing:
        raise ProbeError(
            f"checkpoint {folder} of architecture {config.model_type!r} has no {missing[0]}; rarecall measures "
            "transformers with attention over text, such as GPT-Neo, GPT-NeoX, GPT-2 and the Llama family."
        )


def read_config(folder: Path) -> PretrainedConfig:
    """Configuration of a checkpoint folder whose architecture transformers knows as a causal language model.

    Raises:
        ProbeError: unknown architecture, no causal language model, or code of its own that would have to be run.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    model_type = _read_json(folder / "config.json").get("model_type")
    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ProbeError(
            f"checkpoint {folder} is of architecture {model_type!r}, which transformers does not know as a causal "
            "language model; rarecall runs no code that comes with a checkpoint."
        )
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # transformers validates configurations with its own and foreign exception types
        raise ProbeError(
            f"{folder / 'config.json'} is no valid {model_type} configuration ({_first_line(error)})."
        ) from error


def _count_parameters(folder: Path, config: PretrainedConfig) -> int:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # an unknown activation is a KeyError, a wrong width an assertion, and so on
        raise ProbeError(
            f"{folder / 'config.json'} describes no model that can be built ({type(error).__name__}: "
            f"{_first_line(error)}); use the configuration that was saved with the weights."
        ) from error
    return sum(parameter.numel() for parameter in model.parameters())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def refuse_non_finite_weights(source: str, revision: str | None = None) -> None:
    """Read every tensor once, one at a time, and refuse the first that holds a NaN or an infinity.

    Raises:
        ProbeError: names the tensor and the file; also whatever `resolve_folder` and `is_complete` object to.
    """
    folder = resolve_folder(source, revision)
    require_complete(folder)
    for file, name, low, high in _tensor_ranges(folder):
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ProbeError(
                f"tensor {name} of {file} holds a NaN or an infinity; use another checkpoint or look at the run "
                "that wrote this one."
            )


def _tensor_ranges(folder: Path) -> Iterator[tuple[Path, str, float, float]]:
    """Least and greatest value of each floating-point tensor; a NaN anywhere makes both NaN."""
    import torch
    from safetensors import safe_open

    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is no mapping)
                tensor = tensors.get_tensor(name)
                if tensor.is_floating_point() and tensor.numel():
                    low, high = torch.aminmax(tensor.flatten())
                    yield file, name, float(low), float(high)
