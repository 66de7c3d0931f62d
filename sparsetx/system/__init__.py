"""Operating system services: files, locks, signals, hosts, errors, progress."""
