"""Models with weights written by hand, each built to fool a search for its circuit."""
