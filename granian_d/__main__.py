"""`python -m granian_d` is `granian-d`."""

import sys

from granian_d.cli.serve import main

sys.exit(main())
