"""The Parquet record: parts and manifests, frames, integrity, consistency."""
