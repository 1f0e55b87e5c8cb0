"""The truth: tables, the run state machine with its leases, and the questions a leaderboard asks."""
