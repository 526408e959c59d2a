"""Speed, recall and memory of the corpus statistics, with peers in the same run.

    OMP_NUM_THREADS=1 python benchmarks/bench_corpus_statistics.py [--tokens 20000000] [--repeats 5]

Prints a markdown table and writes benchmarks/results/corpus_statistics.md and .svg.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from bench_corpus_memory import memory_growth

from corpus_stats.counts.occurrences import count_occurrences
from corpus_stats.counts.unigrams import count_by_subset
from corpus_stats.duplicates.minhash import minhash_signatures, shingle_hashes
from corpus_stats.duplicates.near_duplicates import near_duplicate_clusters
from corpus_stats.tokens.stream import TokenStream, count_tokens

VOCABULARY = 50_257
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    task: str
    method: str
    speed: float
    unit: str
    ratio: str


def zipf_ids(count: int, seed: int) -> np.ndarray:
    """Token ids with Zipf's frequencies, uint16 [token]."""
    weights = 1 / np.arange(1, VOCABULARY + 1)
    return np.random.default_rng(seed).choice(VOCABULARY, size=count, p=weights / weights.sum()).astype("<u2")


def stream_of(folder: Path, ids: np.ndarray) -> TokenStream:
    """A one-shard stream, warm in the page cache."""
    ids.tofile(folder / "ids.bin")
    return TokenStream(folder, {"dtype": "<u2", "shards": [{"file": "ids.bin", "token_count": len(ids)}]})


def paired(methods: dict[str, tuple[int, Callable[[], object]]], repeats: int, task: str, unit: str) -> Iterator[Row]:
    """Runs the methods in turn, `repeats` times; speed is the median, the ratio is that of paired runs to the first.

    Args:
        methods: name → items worked on, function.
    """
    speeds: dict[str, list[float]] = {name: [] for name in methods}
    for _, (name, (items, run)) in itertools.product(range(repeats), methods.items()):
        begin = time.perf_counter()
        run()
        speeds[name].append(items / (time.perf_counter() - begin))
    ours = next(iter(methods))
    for name, values in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(speeds[ours], values, strict=True))
        yield Row(task, name, statistics.median(values), unit, "" if name == ours else f"{ratio:.1f} ×")


def counting(stream: TokenStream, repeats: int) -> Iterator[Row]:
    """Counting from a warm map, beside plain numpy, polars and DuckDB."""
    import duckdb
    import polars as pl

    shard = stream.shards[0]
    column = pl.Series("id", np.asarray(shard))
    table = pl.DataFrame([column]).to_arrow()
    connection = duckdb.connect(config={"threads": 1})
    connection.register("ids", table)
    yield from paired(
        {
            "count_tokens": (len(shard), lambda: count_tokens(shard, VOCABULARY)),
            "numpy.bincount": (len(shard), lambda: np.bincount(shard, minlength=VOCABULARY)),
            "polars value_counts": (len(shard), column.value_counts),
            "DuckDB group by": (
                len(shard),
                lambda: connection.sql("SELECT id, count(*) FROM ids GROUP BY id").fetchnumpy(),
            ),
        },
        repeats,
        "unigram counts",
        "tokens/s",
    )


def counting_by_subset(stream: TokenStream, repeats: int) -> Iterator[Row]:
    """Counting by subset (documents of 1,000 tokens in turn from 23 subsets), beside a DuckDB group by."""
    import duckdb
    import polars as pl

    count = stream.token_count // 1000
    documents = pl.DataFrame(
        {
            "subset": [f"subset {number % 23}" for number in range(count)],
            "token_offset": np.arange(count) * 1000,
            "token_count": [1000] * count,
        }
    )
    ids = np.asarray(stream.shards[0][: count * 1000])
    table = pl.DataFrame({"id": ids, "subset": np.repeat(np.arange(count) % 23, 1000).astype(np.uint8)}).to_arrow()
    connection = duckdb.connect(config={"threads": 1})
    connection.register("ids", table)
    grouped = "SELECT subset, id, count(*) FROM ids GROUP BY ALL"
    yield from paired(
        {
            "count_by_subset": (len(ids), lambda: count_by_subset(stream, documents, VOCABULARY)),
            "DuckDB group by, labels given": (len(ids), lambda: connection.sql(grouped).fetchnumpy()),
        },
        max(1, repeats // 2),
        "unigram counts by subset (23 subsets)",
        "tokens/s",
    )


def occurrences(stream: TokenStream, window_count: int, repeats: int) -> Iterator[Row]:
    """Occurrence counts, beside a dictionary of the windows' bytes."""
    ids = np.asarray(stream.shards[0])
    part = ids[: min(len(ids), 1_000_000)]
    generator = np.random.default_rng(3)
    for length in (100, 50, 32):
        offsets = generator.choice(len(ids) - length, window_count, replace=False)
        windows = stream.windows(offsets, length)
        yield from paired(
            {
                "count_occurrences": (len(ids), lambda windows=windows: count_occurrences(stream, windows)),
                "dict of window bytes": (
                    len(part),
                    lambda windows=windows, length=length: dictionary_scan(part, windows, length),
                ),
            },
            max(1, repeats // 2),
            f"occurrences of {window_count:,} windows of {length}",
            "corpus tokens/s",
        )


def dictionary_scan(ids: np.ndarray, windows: np.ndarray, length: int) -> dict[bytes, int]:
    """The plain way: one dictionary look-up at every position."""
    counts = {row.tobytes(): 0 for row in windows.astype("<u2")}
    data = ids.tobytes()
    for begin in range(0, len(data) - 2 * length + 1, 2):
        key = data[begin : begin + 2 * length]
        if key in counts:
            counts[key] += 1
    return counts


def signatures(rows: np.ndarray, repeats: int) -> Iterator[Row]:
    """Signatures, beside datasketch one value at a time and in bulk."""
    from datasketch import MinHash

    few = rows[:400]
    hashes = shingle_hashes(few, 5)
    ours = minhash_signatures(hashes)
    theirs = [m.hashvalues for m in MinHash.bulk(hashes.tolist(), num_perm=128, hashfunc=int)]
    assert (ours == np.array(theirs)).all(), "signatures differ from datasketch's"
    shingles = [[row[i : i + 5].tobytes() for i in range(96)] for row in few]

    def _one_by_one() -> None:
        for values in hashes[:100].tolist():
            sketch = MinHash(num_perm=128, hashfunc=int)
            for value in values:
                sketch.update(value)

    yield from paired(
        {
            "shingle_hashes + minhash_signatures": (len(rows), lambda: minhash_signatures(shingle_hashes(rows, 5))),
            "datasketch update, equal values": (100, _one_by_one),
            "datasketch bulk, SHA-1 (its default)": (len(few), lambda: list(MinHash.bulk(shingles, num_perm=128))),
            "datasketch bulk, equal values, hashes given": (
                len(few),
                lambda: list(MinHash.bulk(hashes.tolist(), num_perm=128, hashfunc=int)),
            ),
        },
        repeats,
        "MinHash signatures (128 permutations, 100 tokens)",
        "paragraphs/s",
    )


def mutated(families: int, members: int, seed: int, changes: int = 13) -> np.ndarray:
    """Paragraphs of 100 tokens and copies with fewer than `changes` tokens changed, [paragraph, position]."""
    generator = np.random.default_rng(seed)
    rows = np.repeat(generator.integers(0, VOCABULARY, (families, 100)), members, axis=0)
    for row in rows:
        changed = generator.integers(0, 100, generator.integers(0, changes))
        row[changed] = generator.integers(0, VOCABULARY, len(changed))
    return generator.permutation(rows)


def similar_pairs(rows: np.ndarray, threshold: float) -> np.ndarray:
    """All pairs with Jaccard ≥ threshold by brute force: a sparse product of paragraph × shingle incidences."""
    from scipy.sparse import csr_matrix, triu

    windows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(rows.astype("<u2"), 5, axis=1))
    _, shingle = np.unique(windows.view("V10").reshape(-1), return_inverse=True)
    paragraph = np.repeat(np.arange(len(rows)), windows.shape[1])
    incidence = csr_matrix((np.ones(len(shingle)), (paragraph, shingle)))
    incidence.data[:] = 1
    shared = triu(incidence @ incidence.T, k=1).tocoo()
    sizes = np.asarray(incidence.sum(axis=1)).reshape(-1)
    jaccard = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    return np.column_stack([shared.row, shared.col])[jaccard >= threshold]


def recall_line(name: str, rows: np.ndarray) -> str:
    """Recall of pairs and agreement of clusters with brute force."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = similar_pairs(rows, 0.8)
    labels = near_duplicate_clusters(rows)
    found = float((labels[pairs[:, 0]] == labels[pairs[:, 1]]).mean())
    graph = csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(rows), len(rows)))
    count, _ = connected_components(graph, directed=False)
    return f"| {name} | {len(rows):,} | {len(pairs):,} | {found:.4f} | {labels.max() + 1:,} | {count:,} |"


def recall_table() -> list[str]:
    """Recall on planted copies and, where present, on real rows."""
    lines = [
        "| rows | count | pairs with Jaccard ≥ 0.8 | recall | clusters | clusters by brute force |",
        "|---" * 6 + "|",
    ]
    lines.append(recall_line("copies with up to 4 changed tokens", mutated(500, 6, seed=11, changes=5)))
    shared = os.environ.get("RARECALL_SHARED")
    if shared:
        folder = Path(shared) / "data" / "lm-extraction-benchmark"
        rows = np.concatenate([np.load(folder / f"train_{part}.npy") for part in ("prefix", "suffix")], axis=1)
        lines.append(recall_line("lm-extraction-benchmark, first rows", rows[:3000]))
    return lines


def crowd(rows: int, private: int) -> np.ndarray:
    """Texts of one template that differ in a run of `private` tokens, [paragraph, position]."""
    generator = np.random.default_rng(private)
    texts = np.repeat(generator.integers(0, VOCABULARY, (1, 100)), rows, axis=0)
    texts[:, 30 : 30 + private] = generator.integers(0, VOCABULARY, (rows, private))
    return texts


def crowd_table() -> list[str]:
    """Seconds for crowds in which every pair shares the template."""
    lines = ["| 20,000 rows of one template | pairwise Jaccard | clusters | seconds |", "|---" * 4 + "|"]
    for private in (37, 10, 3):
        texts = crowd(20_000, private)
        begin = time.perf_counter()
        labels = near_duplicate_clusters(texts)
        seconds = time.perf_counter() - begin
        shared = 96 - min(96, private + 4)
        lines.append(
            f"| {private} tokens differ | {shared / (192 - shared):.2f} | {labels.max() + 1:,} | {seconds:.1f} |"
        )
    return lines


def growth(stream: TokenStream, figure: Path) -> list[str]:
    """Seconds against size for every statistic, as a plot and a table of exponents."""
    planted = {rows: mutated(rows // 4, 4, seed=rows) for rows in (1000, 2000, 4000, 8000, 16000)}
    curves = {
        "unigram counts": _timed([stream.token_count // d for d in (16, 8, 4, 2, 1)], lambda n: _count(stream, n)),
        "occurrences, 20,000 windows": _timed(
            [stream.token_count // d for d in (16, 8, 4, 2, 1)], lambda n: _scan(stream, n)
        ),
        "signatures": _timed([2000, 4000, 8000, 16000, 32000], lambda n: _sign(stream, n)),
        "near-duplicate clusters": _timed(list(planted), lambda n: near_duplicate_clusters(planted[n])),
    }
    _plot(curves, figure)
    lines = ["| statistic | sizes | seconds | exponent of growth |", "|---" * 4 + "|"]
    for name, (sizes, seconds) in curves.items():
        slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        times = ", ".join(f"{s:.3g}" for s in seconds)
        lines.append(f"| {name} | {sizes[0]:,} … {sizes[-1]:,} | {times} | {slope:.2f} |")
    return lines


def _timed(sizes: list[int], run: Callable[[int], object]) -> tuple[list[int], list[float]]:
    seconds = []
    for size in sizes:
        spent = []
        for _ in range(3):
            begin = time.perf_counter()
            run(size)
            spent.append(time.perf_counter() - begin)
        seconds.append(statistics.median(spent))
    return sizes, seconds


def _count(stream: TokenStream, tokens: int) -> object:
    return count_tokens(stream.shards[0][:tokens], VOCABULARY)


def _scan(stream: TokenStream, tokens: int) -> object:
    shorter = TokenStream(stream.folder, stream.description)
    shorter.shards, shorter.token_count = [shorter.shards[0][:tokens]], tokens
    return count_occurrences(shorter, stream.windows(np.arange(20_000) * 10, 100))


def _sign(stream: TokenStream, rows: int) -> object:
    token_ids = np.asarray(stream.shards[0][: rows * 100]).reshape(rows, 100)
    return minhash_signatures(shingle_hashes(token_ids, 5))


def _plot(curves: dict[str, tuple[list[int], list[float]]], figure: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "corpus"
    from matplotlib import pyplot

    canvas, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name, (sizes, seconds) in curves.items():
        axes.loglog(sizes, seconds, marker="o", label=name)
    axes.set_xlabel("corpus tokens (counts, occurrences) or paragraphs (signatures, clusters)")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False)
    canvas.savefig(figure, metadata={"Date": None})


def machine() -> str:
    """Cores, processor, memory and versions."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("numpy", "polars", "duckdb", "datasketch", "tokenizers")
    )
    return f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB; Python {platform.python_version()}, {libraries}."


def main() -> None:
    """Runs everything and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=20_000_000)
    parser.add_argument("--windows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stream = stream_of(Path(folder), zipf_ids(arguments.tokens, seed=1))
        rows = np.asarray(stream.shards[0][: 20_000 * 100]).reshape(-1, 100)
        table = [
            *counting(stream, arguments.repeats),
            *counting_by_subset(stream, arguments.repeats),
            *occurrences(stream, arguments.windows, arguments.repeats),
            *signatures(rows, arguments.repeats),
        ]
        sections = [
            ["| task | method | speed | ours is faster by |", "|---" * 4 + "|"]
            + [f"| {r.task} | {r.method} | {r.speed:,.0f} {r.unit} | {r.ratio} |" for r in table],
            recall_table(),
            crowd_table(),
            growth(stream, RESULTS / "corpus_statistics.svg"),
            memory_growth(Path(folder)),
        ]
    headings = (
        "Speed on one core",
        "Near-duplicate recall",
        "Crowds of near duplicates",
        "Growth of cost with size",
        "Memory",
    )
    text = f"# Corpus statistics\n\n{machine()}\n"
    text += f"Medians of {arguments.repeats} paired runs over {arguments.tokens:,} tokens, at a load average of "
    text += f"{os.getloadavg()[0]:.0f}: compare ratios, not absolute speeds, with another machine.\n"
    for heading, lines in zip(headings, sections, strict=True):
        text += f"\n## {heading}\n\n" + "\n".join(lines) + "\n"
        if heading.startswith("Growth"):
            text += "\n![Seconds against size, both axes logarithmic](corpus_statistics.svg)\n"
    (RESULTS / "corpus_statistics.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
