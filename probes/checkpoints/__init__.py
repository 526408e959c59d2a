"""Checkpoints as files: which of them transformers reads, what they hold, where they come from, how they load."""
