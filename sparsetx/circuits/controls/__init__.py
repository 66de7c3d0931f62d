"""Controls: what a sceptic would try against a circuit, with a verdict on each."""
