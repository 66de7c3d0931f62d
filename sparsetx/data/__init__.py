"""Training data: corpora, the tinypython grammar, tokenizer, preparation, batches."""
