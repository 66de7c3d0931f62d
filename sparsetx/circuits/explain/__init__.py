"""What a circuit does: costs and effects, its graph, sentences about its nodes."""
