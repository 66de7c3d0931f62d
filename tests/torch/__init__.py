"""What is held against torch. Run by `make test-torch`; not collected without torch."""
