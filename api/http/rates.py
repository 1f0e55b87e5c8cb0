"""`Rates`: how often a token may write, and how often an address may fail to show a valid one.

Decisions:
    * Counted in Redis, so that several API processes share the count; in memory without Redis, or while it is away: then each process counts alone.
    * A moving window: nobody can send two bursts around a full minute.
    * The library is imported with the first write: reads are not limited, and it costs a tenth of a second.
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
class Standing:
    """How much of a limit is left.

    Attributes:
        allowed: whether this request was within it.
        limit: requests a minute.
        remaining: of these, from now on.
        reset_seconds: until some are free again.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """As the caller is told."""
        told = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }
        return told if self.allowed else {**told, "Retry-After": str(max(1, self.reset_seconds))}


class Rates:
    """The counters of one API process.

    Args:
        redis_url: where to count; None counts in memory.
    """

    def __init__(self, redis_url: str | None) -> None:
        self._redis_url = redis_url
        self._away_until = 0.0

    def hit(self, what: str, who: str, per_minute: int) -> Standing:
        """Count one request; `who` is kept as a digest only."""
        if self._redis_url is not None and time.monotonic() > self._away_until:
            from redis.exceptions import RedisError  # noqa: PLC0415 - see above

            try:
                return _standing(self._shared, what, who, per_minute)
            except RedisError as error:
                log.warning("Redis does not answer, rates are counted in this process: %s", error)
                self._away_until = time.monotonic() + _REDIS_PAUSE_SECONDS
        return _standing(self._alone, what, who, per_minute)

    @cached_property
    def _alone(self) -> Any:
        from limits.storage import MemoryStorage  # noqa: PLC0415 - see above
        from limits.strategies import MovingWindowRateLimiter  # noqa: PLC0415

        return MovingWindowRateLimiter(MemoryStorage())

    @cached_property
    def _shared(self) -> Any:
        from limits.storage import RedisStorage  # noqa: PLC0415 - see above
        from limits.strategies import MovingWindowRateLimiter  # noqa: PLC0415

        assert self._redis_url is not None  # noqa: S101 - asked for with Redis only
        patience: dict[str, Any] = {
            "socket_connect_timeout": REDIS_PATIENCE_SECONDS,
            "socket_timeout": REDIS_PATIENCE_SECONDS,
        }
        return MovingWindowRateLimiter(RedisStorage(self._redis_url, key_prefix="cil-rates", **patience))


def _standing(limiter: Any, what: str, who: str, per_minute: int) -> Standing:
    from limits import RateLimitItemPerMinute  # noqa: PLC0415 - see above

    item, name = RateLimitItemPerMinute(per_minute), hashlib.sha256(who.encode()).hexdigest()[:32]
    allowed = limiter.hit(item, what, name)
    stats = limiter.get_window_stats(item, what, name)
    return Standing(
        bool(allowed), per_minute, max(0, stats.remaining), max(0, math.ceil(stats.reset_time - time.time()))
    )
