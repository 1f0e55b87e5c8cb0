"""The Python client: `from api.client import Client`. Needs httpx and pydantic only."""

from api.client.answers import Event, Job, Leaderboard
from api.client.sdk import ApiError, Client

__all__ = ["ApiError", "Client", "Event", "Job", "Leaderboard"]
