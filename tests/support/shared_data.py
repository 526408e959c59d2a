"""Where the released data of other projects lies, beside the checkout; it is not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import REPOSITORY

SHARED = Path(os.environ.get("RARECALL_SHARED") or REPOSITORY.parent / "shared") / "data"


def released(name: str) -> Path:
    """Folder of one release, or a skip that says why."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the released data {name} is not at {folder}")
    return folder


# GPT-2's ids of the 60 filter strings, sorted and distinct, so that the published counts can be checked without its
# vocabulary. Order: word; as is, upper, capitalized; without and with a leading space.
GPT2_FILTER_SETS = [
    [51, 2782, 5528, 13131], [2782, 13131, 18383], [1581, 2885, 4061, 5446, 29817],
    [1581, 2885, 4061, 7579, 29817], [51, 324, 5528, 13131], [324, 13131, 18383],
    [33257], [13291], [39, 31688], [367, 31688], [39, 5420], [367, 5420],
    [43085], [5964], [43, 2149, 24290], [24290, 38559], [34156], [13789],
    [4766, 22163], [6634], [34, 3185, 9947, 38162], [9947, 27975, 38162], [15269], [15069],
    [43776], [3788], [15821, 37485], [47466], [25423], [10442],
    [805, 15817], [17116], [51, 2937, 10725, 36584], [51, 2937, 17254, 36584], [5124, 15817], [1869, 15817],
    [3411, 7266], [14498], [44, 50, 10526, 40373], [44, 28932, 40373], [3411, 7004], [42641],
    [3890, 17080], [6082], [5446, 9865, 26288, 35354], [9865, 34957, 35354], [3890, 20344], [27484],
    [6381, 12795], [276, 28468], [1961, 26288, 48778], [1961, 13954, 48778], [7279, 12795], [3167, 12795],
    [10698], [3614], [43, 3955, 22061], [40880], [37214], [15302],
]  # fmt: skip
