"""Tests by kind and room: tests/{unit,integration,validity,acceptance}/<room>/; helpers in tests/support."""
