"""An edited model as an ordinary transformers checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import ProbeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def save_checkpoint(model: PreTrainedModel, tokenizer: Any, folder: Path) -> None:
    """Write weights, configuration and tokenizer; the folder appears only when it is whole.

    Args:
        model: causal language model of transformers.
        tokenizer: its tokenizer.
        folder: must not exist yet.

    Raises:
        ProbeError: the folder exists, or the disk refused.
    """
    from transformers.utils import logging

    if folder.exists():
        raise ProbeError(f"{folder} exists already; choose another name or remove the folder.")
    staging = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)
        staging.replace(folder)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise ProbeError(f"the checkpoint {folder} could not be written ({error.strerror or error}).") from error
    finally:
        if bars:
            logging.enable_progress_bar()
