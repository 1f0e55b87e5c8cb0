"""Read-only queries about jobs, runs and queues."""
