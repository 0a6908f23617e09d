"""PostgreSQL and TimescaleDB behind the ports; asyncpg only here."""
