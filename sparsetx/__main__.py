"""`python -m sparsetx` is the `sparsetx` command."""

from sparsetx.cli.main import run

run()
