"""`python -m mintmark` is the command `mintmark`."""

from __future__ import annotations

import sys

from mintmark.cli.main import main

sys.exit(main())
