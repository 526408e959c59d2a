"""Partitions, below the assets so that nothing imports in a circle."""

import dagster as dg

CHECKPOINTS = dg.DynamicPartitionsDefinition(name="checkpoint")
