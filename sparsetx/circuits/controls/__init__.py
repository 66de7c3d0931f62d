"""Controls: thirteen tests of a circuit, each with a verdict."""
