"""Durable history: schema, migrations, journal, reader, attempt logs."""
