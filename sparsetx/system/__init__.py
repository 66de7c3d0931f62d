"""What any program needs of its host: errors, files, locks, signals, progress."""
