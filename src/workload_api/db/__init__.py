"""The database: engine, units of work, column types, tables, and what differs between SQLite and PostgreSQL."""
