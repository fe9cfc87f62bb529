"""Nodes that share a database divide the places of trunks"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counts = [
        sa.Column(name, sa.Integer(), nullable=False) for name in ("used_in", "used_out", "held", "held_in", "held_out")
    ]
    op.create_table(
        "trunk_places",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("trunk_id", sa.String(length=36), nullable=False),
        sa.Column("node", sa.String(length=36), nullable=False),
        *counts,
        sa.Column("registers", sa.Boolean(), nullable=False),
        sa.Column("wants", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("trunk_places")
