"""Agreements as people read them: every clause as a sentence, in English and in Vietnamese.

`sentences` decides what is said, `page` how it is drawn, `codes` which types and codes exist.  What a clause
means for a notice is decided in `broker.core.agreements` alone.
"""
