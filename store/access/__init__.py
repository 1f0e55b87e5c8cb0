"""Who may write, and how much: accounts, idempotency keys and quotas."""
