"""Adapter folders as checkpoints: merged into their base model once, under the names of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warehouse.home import Home, check_name


def is_adapter_source(source: str) -> bool:
    """Whether a local folder holds an adapter and no model."""
    from probes.checkpoints.adapters import is_adapter

    return is_adapter(Path(source).expanduser())


def name_of_both(adapter: Path, base: str, revision: str | None) -> str:
    """`gpt-neo-125m-with-lora-x`: what is measured is neither the base model nor the adapter."""
    from assets.framework.checkpoint_names import checkpoint_id_of

    return f"{checkpoint_id_of(base, revision)}-with-{adapter.resolve().name}"


def merged_checkpoint(home: Home, source: str, name: str | None = None) -> tuple[str, Path, dict[str, Any]]:
    """Merge an adapter into its base model and write the sum under `<home>/merged`.

    Args:
        home: where it goes.
        source: folder with the adapter; its adapter_config.json names the base model.
        name: of the checkpoint; without it the names of both.

    Returns:
        Name, folder, and what is registered beside them: base model, its commit and the adapter.

    Raises:
        ProbeError: peft is missing, or base and adapter do not fit, or the folder is there already.
    """
    from corpus_stats.tokens.tokenizer import load_tokenizer
    from probes.checkpoints.adapters import base_of, merged_model
    from probes.checkpoints.hub import pinned_revision, resolve_folder
    from probes.checkpoints.load import load_model
    from probes.editing.saving import save_checkpoint

    adapter = Path(source).expanduser().resolve()
    base, revision = base_of(adapter)
    commit = pinned_revision(base, revision)
    chosen = check_name(name or name_of_both(adapter, base, revision), "checkpoint")
    folder = home.merged_folder / chosen
    model = merged_model(adapter, load_model(base, commit, device="cpu"))
    has_tokenizer = (adapter / "tokenizer.json").is_file() or (adapter / "vocab.json").is_file()
    tokenizer = load_tokenizer(str(adapter if has_tokenizer else resolve_folder(base, commit)))
    save_checkpoint(model, tokenizer, folder)
    return chosen, folder, {"merged": {"base": base, "revision": commit, "adapter": str(adapter)}}
