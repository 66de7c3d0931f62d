"""Corpora: builders, the grammar of tinypython, preparation and the loader."""
