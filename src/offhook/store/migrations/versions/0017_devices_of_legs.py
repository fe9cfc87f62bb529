"""Legs of the log name their device, bindings how their endpoint was proved"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("bindings", sa.Column("auth", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("call_log", sa.Column("device_id", sa.String(length=36), nullable=True))
    op.create_index("ix_call_log_device_id", "call_log", ["device_id"])


def downgrade() -> None:
    op.drop_index("ix_call_log_device_id", table_name="call_log")
    op.drop_column("call_log", "device_id")
    op.drop_column("bindings", "auth")
