"""`python -m tests.browser`: the browser that the tests will use, or what to do."""

import sys

from tests.browser import cdp

if __name__ == "__main__":
    found = cdp.executable()
    print(found or cdp.INSTALL)
    sys.exit(0 if found else 2)
