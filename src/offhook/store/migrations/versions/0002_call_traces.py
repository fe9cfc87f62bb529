"""Traces of ended calls"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_traces",
        sa.Column("call_ref", sa.String(length=36), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("call_ref"),
    )
    op.create_index("ix_call_traces_kept_at", "call_traces", ["kept_at"])


def downgrade() -> None:
    op.drop_index("ix_call_traces_kept_at", table_name="call_traces")
    op.drop_table("call_traces")
