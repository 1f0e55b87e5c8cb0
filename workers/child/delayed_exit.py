"""Imported by the fork server alone: when the supervisor is gone it lingers for a moment before it goes too.

The kernel kills a child when the fork server ends (PR_SET_PDEATHSIG), but only the child. In this moment the child, whose own pipe to the supervisor
has closed, kills its whole process group and with it everything it started. Children do not linger: they end without `atexit`.
"""

import atexit
import time

SECONDS = 2.0

atexit.register(time.sleep, SECONDS)
