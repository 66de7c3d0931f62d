"""The report page about circuits: one HTML file that needs nothing else."""
