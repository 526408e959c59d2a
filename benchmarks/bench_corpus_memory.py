"""Peak memory of reading, tokenizing, counting and scanning a corpus, and of one ten times as long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_RUN = """
import sys
from pathlib import Path
import numpy as np
from corpus_stats.counts.occurrences import count_occurrences
from corpus_stats.readers import open_source
from corpus_stats.tokens.shards import TokenStream, write_token_shards
from corpus_stats.tokens.stream import count_tokens
from corpus_stats.tokens.tokenizer import load_tokenizer

peak = 0
def watch(_):
    global peak
    status = Path("/proc/self/status").read_text()
    peak = max(peak, int(status.split("RssAnon:")[1].split()[0]))

source, tokenizer, folder = sys.argv[1:]
corpus = write_token_shards(open_source(source), load_tokenizer(tokenizer), Path(folder), on_progress=watch)
stream = TokenStream(Path(folder))
counted = 0
for shard in stream.shards:
    counted += count_tokens(shard, corpus.vocabulary_count).sum()
    watch(counted)
assert counted == stream.token_count
count_occurrences(stream, stream.windows(np.arange(1000) * 50, 100), on_progress=watch)
print(corpus.byte_count, corpus.document_count, stream.token_count, peak)
"""


def memory_growth(folder: Path, scales: tuple[int, ...] = (1, 10)) -> list[str]:
    """Table rows: one process per corpus size, its own (anonymous) memory at the highest; mapped files not counted."""
    import zstandard

    from corpus_stats.readers import open_source
    from corpus_stats.tokens.tokenizer import train_tokenizer

    texts = [document.text[:2000] for document in open_source("python")]
    train_tokenizer(texts, 2000).save_pretrained(folder / "tokenizer")
    lines = ["| text | documents | tokens | peak memory |", "|---" * 4 + "|"]
    for scale in scales:
        source = folder / f"{scale}.jsonl.zst"
        with zstandard.open(source, "wt", encoding="utf-8") as file:
            for copy in range(4 * scale):
                file.writelines(json.dumps({"text": f"{copy} {text}"}) + "\n" for text in texts)
        command = [sys.executable, "-c", _RUN, str(source), str(folder / "tokenizer"), str(folder / f"{scale}")]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        size, documents, tokens, peak = map(int, output)
        lines.append(f"| {size / 1e6:.1f} MB | {documents:,} | {tokens:,} | {peak / 1024:.0f} MiB |")
    return lines
