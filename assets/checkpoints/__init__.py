"""Checkpoints that may be measured: refusals before any work, and what is recorded of each."""
