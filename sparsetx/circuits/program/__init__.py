"""Write a circuit as a standalone NumPy program."""
