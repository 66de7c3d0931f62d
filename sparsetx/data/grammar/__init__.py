"""The grammar of tinypython: `document.document(seed, index)` writes one program."""
