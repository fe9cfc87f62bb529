"""Bindings know the node whose sockets they belong to, and take every reg-id"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("bindings") as batch:
        batch.add_column(sa.Column("node", sa.String(length=36), nullable=False, server_default=""))
        batch.alter_column("reg_id", type_=sa.BigInteger(), existing_type=sa.Integer(), existing_nullable=True)


def downgrade() -> None:
    with op.batch_alter_table("bindings") as batch:
        batch.alter_column("reg_id", type_=sa.Integer(), existing_type=sa.BigInteger(), existing_nullable=True)
        batch.drop_column("node")
