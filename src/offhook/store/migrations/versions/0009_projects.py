"""Projects have parents, settings, a signing key and a SIP profile"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("parent_id", sa.String(length=36), nullable=True))
    op.add_column("projects", sa.Column("settings", sa.JSON(), nullable=True))
    op.add_column("projects", sa.Column("profile", sa.JSON(), nullable=True))
    op.add_column("projects", sa.Column("signing_key", sa.LargeBinary(), nullable=True))
    op.add_column("projects", sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
    # Projects share the domain, so that a user name means one endpoint on the whole server.
    op.create_index("endpoints_username_on_domain", "endpoints", ["username_folded"], unique=True)


def downgrade() -> None:
    op.drop_index("endpoints_username_on_domain", table_name="endpoints")
    for name in ("updated_at", "signing_key", "profile", "settings", "parent_id"):
        op.drop_column("projects", name)
