"""Each node delivers the webhooks of its own calls; tries are counted anew after a retry"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("webhook_deliveries") as batch:
        batch.add_column(sa.Column("node", sa.String(length=36), nullable=False, server_default=""))
        batch.add_column(sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
        batch.drop_index("ix_webhook_deliveries_due_at")
        batch.create_index("ix_webhook_deliveries_due_at", ["node", "due_at"])


def downgrade() -> None:
    with op.batch_alter_table("webhook_deliveries") as batch:
        batch.drop_index("ix_webhook_deliveries_due_at")
        batch.create_index("ix_webhook_deliveries_due_at", ["due_at"])
        batch.drop_column("tries")
        batch.drop_column("node")
