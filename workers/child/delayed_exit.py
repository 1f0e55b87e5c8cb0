"""Delays the exit of the fork server; imported by it alone.

When the fork server exits, the kernel kills a child (PR_SET_PDEATHSIG), but not what the child started.
During the delay the child, whose own pipe to the supervisor has closed, kills its whole process group.
Children exit without `atexit`, so without the delay.
"""

import atexit
import time

SECONDS = 2.0

atexit.register(time.sleep, SECONDS)
