"""Adapters: the same names for the pieces of GPT-Neo, GPT-NeoX, GPT-2 and Llama-like models."""

from probes.architectures.base import COMPONENTS, Adapter, Component, HeadLayout, HeadRef, Projection
from probes.architectures.families import FAMILIES, adapter_for, unmeasured

__all__ = [
    "COMPONENTS",
    "FAMILIES",
    "Adapter",
    "Component",
    "HeadLayout",
    "HeadRef",
    "Projection",
    "adapter_for",
    "unmeasured",
]
