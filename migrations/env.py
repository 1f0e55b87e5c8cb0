"""Alembic's entry: runs the migrations on the connection that `migrations.upgrade` opened."""

from alembic import context

from store.database import models

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=models.User.metadata,
    transactional_ddl=True,  # SQLite has it too, which Alembic does not assume
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
