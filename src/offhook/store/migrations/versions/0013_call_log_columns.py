"""The call log can be searched, and details of ended calls are kept beside it"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS: dict[str, Any] = {
    "project_id": sa.String(length=36),
    "direction": sa.String(length=16),
    "status": sa.String(length=16),
    "sender": sa.String(length=320),
    "recipient": sa.String(length=320),
    "endpoint_id": sa.String(length=36),
    "trunk_id": sa.String(length=36),
    "end_code": sa.String(length=64),
    "mos": sa.Float(),
    "discarded_at": sa.DateTime(timezone=True),
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("call_log", sa.Column(name, kind, nullable=True))
    op.create_index("ix_call_log_started_at", "call_log", ["started_at"])
    op.create_index("ix_call_log_project_id", "call_log", ["project_id"])
    op.create_table(
        "call_details",
        sa.Column("call_ref", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("call_ref"),
    )
    op.create_index("ix_call_details_kept_at", "call_details", ["kept_at"])


def downgrade() -> None:
    op.drop_table("call_details")
    op.drop_index("ix_call_log_project_id", table_name="call_log")
    op.drop_index("ix_call_log_started_at", table_name="call_log")
    for name in reversed(COLUMNS):
        op.drop_column("call_log", name)
