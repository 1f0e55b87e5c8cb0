"""The source of truth: tables, the run state machine with its leases, and the queries of a leaderboard.

Schemas:
    * `store.leaderboard` returns public read models (`Entry`, `Comparison`, `BudgetCurves` …): frozen values
      with described fields, which the API sends as they are. A change of their fields changes the API.
    * Everything else in the store returns rows and plain dataclasses. They are internal: `api.schemas` has
      the schema of every answer made from them.
"""
