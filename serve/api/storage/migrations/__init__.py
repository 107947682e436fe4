"""Alembic migrations, run by `serve.api.storage.upgrade`."""
