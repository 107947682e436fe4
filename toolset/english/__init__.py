"""What the tools and the dialog know of English: sentences, words, superlatives, and what a message asks for.

Boundary: texts in, texts and numbers out; knows nothing of tools, corpora, models or conversations, and imports only
the standard library (the stemmer on its first use).
"""
