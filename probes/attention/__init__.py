"""Attention of every head: the weights, and whether they follow token rarity."""
