"""Leaderboards: entries over seeds, ranking, statistics, comparisons and published results."""
