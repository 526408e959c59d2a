"""Token ids of a corpus: tokenizer, shards on disk, the stream over them, token files of others."""
