"""python -m zoo.worker: embed the systems of a job folder with one model."""

import sys

from zoo.worker import main

sys.exit(main())
