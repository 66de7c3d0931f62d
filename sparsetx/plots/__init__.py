"""Pictures: of training, of circuits and their controls, of one circuit as a graph."""
