"""Order of training: which training sequence holds a place of the corpus, and when it was read."""

from corpus_stats.training_order.exposures import EXPOSURE_SCHEMA, exposures, exposures_of_places
from corpus_stats.training_order.orders import ChunkedOrder, PackedOrder, TrainingOrder, read_order

__all__ = [
    "EXPOSURE_SCHEMA",
    "ChunkedOrder",
    "PackedOrder",
    "TrainingOrder",
    "exposures",
    "exposures_of_places",
    "read_order",
]
