"""Counts over a corpus: unigrams, words, occurrences of windows."""
