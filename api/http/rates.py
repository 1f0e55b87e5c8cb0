"""`Rates`: limits writes per token and invalid tokens per address.

Decisions:
    * Redis holds the counts, so that several API processes share them. Without Redis, or while it does not
      respond, each process counts in its own memory.
    * A moving window: a client cannot send two bursts around a full minute.
    * The library is imported at the first write: reads are not limited, and the import takes a tenth of a
      second.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

log = logging.getLogger(__name__)

REDIS_PATIENCE_SECONDS = 0.25
_REDIS_PAUSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a limit after a request.

    Attributes:
        allowed: whether the request was within the limit.
        limit: requests per minute.
        remaining: requests left now.
        reset_seconds: until the limit allows more.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """Response headers."""
        found = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }
        return found if self.allowed else {**found, "Retry-After": str(max(1, self.reset_seconds))}


class Rates:
    """The rate limits of one API process.

    Args:
        redis_url: holds the counts; None counts in memory.
    """

    def __init__(self, redis_url: str | None) -> None:
        self._redis_url = redis_url
        self._away_until = 0.0

    def hit(self, what: str, who: str, per_minute: int) -> Usage:
        """Count one request; `who` is kept as a digest only."""
        if self._redis_url is not None and time.monotonic() > self._away_until:
            from redis.exceptions import RedisError  # noqa: PLC0415 - see above

            try:
                return _usage(self._shared, what, who, per_minute)
            except RedisError as error:
                log.warning("Redis does not respond, this process counts rates alone: %s", error)
                self._away_until = time.monotonic() + _REDIS_PAUSE_SECONDS
        return _usage(self._alone, what, who, per_minute)

    @cached_property
    def _alone(self) -> Any:
        from limits.storage import MemoryStorage  # noqa: PLC0415 - see above
        from limits.strategies import MovingWindowRateLimiter  # noqa: PLC0415

        return MovingWindowRateLimiter(MemoryStorage())

    @cached_property
    def _shared(self) -> Any:
        from limits.storage import RedisStorage  # noqa: PLC0415 - see above
        from limits.strategies import MovingWindowRateLimiter  # noqa: PLC0415

        assert self._redis_url is not None  # noqa: S101 - called with Redis only
        patience: dict[str, Any] = {
            "socket_connect_timeout": REDIS_PATIENCE_SECONDS,
            "socket_timeout": REDIS_PATIENCE_SECONDS,
        }
        return MovingWindowRateLimiter(RedisStorage(self._redis_url, key_prefix="cil-rates", **patience))


def _usage(limiter: Any, what: str, who: str, per_minute: int) -> Usage:
    from limits import RateLimitItemPerMinute  # noqa: PLC0415 - see above

    item, name = RateLimitItemPerMinute(per_minute), hashlib.sha256(who.encode()).hexdigest()[:32]
    allowed = limiter.hit(item, what, name)
    stats = limiter.get_window_stats(item, what, name)
    return Usage(
        bool(allowed), per_minute, max(0, stats.remaining), max(0, math.ceil(stats.reset_time - time.time()))
    )
