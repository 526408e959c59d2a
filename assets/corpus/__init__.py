"""Assets of the corpus: text and tokens, paragraphs, unigram rarity, imported releases."""
