"""Helpers of the tests: homes, small models, invented worlds. Nothing here is collected as a test."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
"""The checkout the tests run in."""
