"""`python -m tests.browser`: print the tests' browser, or how to get one."""

import sys

from tests.browser import cdp

if __name__ == "__main__":
    found = cdp.executable()
    print(found or cdp.INSTALL)
    sys.exit(0 if found else 2)
