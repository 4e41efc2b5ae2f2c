"""`python -m ml_connector.sandbox` starts the whole sandbox."""

import sys

from ml_connector.sandbox.supervisor import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
