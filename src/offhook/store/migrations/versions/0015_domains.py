"""Endpoints of projects with a domain of their own: a user name is unique on its domain, and texts go to longer names."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("domain", sa.String(length=320), nullable=False, server_default=""))
    op.drop_index("endpoints_username_on_domain", table_name="endpoints")
    op.create_index("endpoints_username_on_domain", "endpoints", ["domain", "username_folded"], unique=True)
    with op.batch_alter_table("texts") as batch:
        batch.alter_column("recipient", type_=sa.String(length=400), existing_nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("texts") as batch:
        batch.alter_column("recipient", type_=sa.String(length=64), existing_nullable=False)
    op.drop_index("endpoints_username_on_domain", table_name="endpoints")
    op.create_index("endpoints_username_on_domain", "endpoints", ["username_folded"], unique=True)
    op.drop_column("endpoints", "domain")
