"""The database: tables, column types, transactions, clock and identifiers."""
