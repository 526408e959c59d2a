"""Generators of the pages and pictures in docs."""
