"""Worlds of known truth for the tests of triggers and rarity, empty ones among them."""
