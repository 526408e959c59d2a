"""Doctor looks at the token shards, which are not part of the record."""

from __future__ import annotations

from pathlib import Path

from corpus_stats import Document
from corpus_stats.tokens.shards import write_token_shards
from corpus_stats.tokens.tokenizer import train_tokenizer
from orchestration.home.doctor import examine
from warehouse.home import Home


def test_a_changed_byte_of_a_token_shard_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    folder = home.corpus_folder("library") / "tokens"
    text = "the quick brown fox jumps over the lazy dog " * 40
    write_token_shards([Document("a", "a", text)], train_tokenizer([text], 300), folder, shard_tokens=100)
    shard = folder / "tokens-00000.bin"
    (remark,) = (remark for remark in examine(home) if "token shards" in remark.what)
    assert remark.is_fine and "library" in remark.what
    data = shard.read_bytes()
    shard.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    (remark,) = (remark for remark in examine(home) if shard.name in remark.what)
    assert not remark.is_fine and "delete tokens.json" in remark.what
