"""The tinypython grammar: `document.document(seed, index)` generates one program."""
