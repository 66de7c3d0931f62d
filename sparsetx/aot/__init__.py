"""What an experiment needs of a TPU, said by the TPU's own compiler, without a TPU."""
