"""The tables, as SQLAlchemy Core sees them. A change here comes with a migration."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

spaces = Table(
    "spaces",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("domain", String(255), nullable=False),
    Column("realm", String(255), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("space_id", ForeignKey("spaces.id"), nullable=False),
    Column("name", String(250), nullable=False),
    Column("parent_id", String(36)),
    Column("settings", JSON),
    Column("profile", JSON),
    Column("signing_key", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True)),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("permissions", JSON, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("username", String(64), nullable=False),
    Column("username_folded", String(64), nullable=False),
    Column("domain", String(320), nullable=False, default="", server_default=""),
    Column("ha1_md5", String(32), nullable=False),
    Column("ha1_sha256", String(64), nullable=False),
    Column("credential_version", Integer, nullable=False, default=1),
    Column("caller_id", String(64)),
    Column("send_as", String(32), nullable=False, default="random"),
    Column("codecs", JSON, nullable=False),
    Column("ciphers", JSON, nullable=False),
    Column("encryption", String(16), nullable=False, default="default"),
    Column("handler", JSON, nullable=False),
    Column("offhook", JSON, nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("subscriber_id", String(36)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("project_id", "username_folded", name="endpoints_username_unique"),
    Index("endpoints_username_on_domain", "domain", "username_folded", unique=True),
)

bindings = Table(
    "bindings",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("node", String(36), nullable=False, default=""),
    Column("aor", String(400), nullable=False, index=True),
    Column("contact", Text, nullable=False),
    Column("instance", Text, nullable=False, default=""),
    Column("reg_id", BigInteger),
    Column("transport", String(4), nullable=False),
    Column("source", String(64), nullable=False),
    Column("local", String(64), nullable=False),
    Column("path", JSON, nullable=False),
    Column("params", JSON, nullable=False),
    Column("call_id", String(256), nullable=False),
    Column("cseq", BigInteger, nullable=False),
    Column("q", Float, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("auth", String(16), nullable=False, default="", server_default=""),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    Column("refreshed_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

call_log = Table(
    "call_log",
    metadata,
    Column("leg_ref", String(36), primary_key=True),
    Column("call_ref", String(36), nullable=False, index=True),
    Column("started_at", DateTime(timezone=True), nullable=False, index=True),
    Column("ended_at", DateTime(timezone=True), nullable=False),
    Column("record", JSON, nullable=False),
    Column("project_id", String(36), index=True),
    Column("direction", String(16)),
    Column("status", String(16)),
    Column("sender", String(320)),
    Column("recipient", String(320)),
    Column("endpoint_id", String(36)),
    Column("device_id", String(36), index=True),
    Column("trunk_id", String(36)),
    Column("end_code", String(64)),
    Column("mos", Float),
    Column("discarded_at", DateTime(timezone=True)),
)

call_details = Table(
    "call_details",
    metadata,
    Column("call_ref", String(36), primary_key=True),
    Column("project_id", String(36), nullable=False),
    Column("kept_at", DateTime(timezone=True), nullable=False, index=True),
    Column("document", LargeBinary, nullable=False),
)

call_traces = Table(
    "call_traces",
    metadata,
    Column("call_ref", String(36), primary_key=True),
    Column("kept_at", DateTime(timezone=True), nullable=False, index=True),
    Column("document", LargeBinary, nullable=False),
)

texts = Table(
    "texts",
    metadata,
    Column("ref", String(36), primary_key=True),
    Column("recipient", String(400), nullable=False),
    Column("sender", Text, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("kept_at", DateTime(timezone=True), nullable=False),
)

trunks = Table(
    "trunks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("name_folded", String(64), nullable=False, unique=True),
    Column("settings", JSON, nullable=False),
    Column("password", LargeBinary),
    Column("digest_password", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

trunk_places = Table(
    "trunk_places",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("trunk_id", String(36), nullable=False),
    Column("node", String(36), nullable=False),
    Column("used_in", Integer, nullable=False),
    Column("used_out", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("held_in", Integer, nullable=False),
    Column("held_out", Integer, nullable=False),
    Column("registers", Boolean, nullable=False),
    Column("wants", Boolean, nullable=False),
    Column("seen", Float(53), nullable=False),
)
"""What each node holds and uses of each trunk; `seen` is in seconds of the database's clock."""

phone_numbers = Table(
    "phone_numbers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("number", String(16), nullable=False, unique=True),
    Column("name", String(64), nullable=False, default=""),
    Column("number_type", String(16), nullable=False, default="longcode"),
    Column("endpoint_id", String(36), index=True),
    Column("settings", JSON, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

resources = Table(
    "resources",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("type", String(32), nullable=False),
    Column("name", String(128), nullable=False),
    Column("settings", JSON, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

addresses = Table(
    "addresses",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("owner_id", String(36), nullable=False, unique=True),
    Column("name", String(80), nullable=False),
    Column("locked", Boolean, nullable=False, default=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("project_id", "name", name="addresses_name_unique"),
)

events = Table(
    "events",
    metadata,
    Column("cursor", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("type", String(48), nullable=False),
    Column("project_id", String(36), nullable=False),
    Column("call_ref", String(36), nullable=False, default="", index=True),
    Column("leg_ref", String(36), nullable=False, default=""),
    Column("sequence", Integer),
    Column("request_id", String(128), nullable=False, default=""),
    Column("endpoints", JSON, nullable=False),
    Column("data", JSON, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("types", JSON, nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(36), nullable=False),
    Column("event_id", String(36), nullable=False),
    Column("node", String(36), nullable=False, default=""),
    Column("call_ref", String(36), nullable=False, default="", index=True),
    Column("sequence", Integer),
    Column("request_id", String(128), nullable=False, default=""),
    Column("lane", String(36), nullable=False),
    Column("receiver", String(300), nullable=False),
    Column("url", Text, nullable=False),
    Column("method", String(4), nullable=False),
    Column("kind", String(4), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("attempts", JSON, nullable=False),
    Column("due_at", Double),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_webhook_deliveries_due_at", "node", "due_at"),
    Index("ix_webhook_deliveries_lane", "lane", "id"),
    Index("ix_webhook_deliveries_state", "state", "id"),
)

caller_ids = Table(
    "caller_ids",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("number", String(16), nullable=False),
    Column("name", String(64), nullable=False, default=""),
    Column("extension", String(8)),
    Column("verified_at", DateTime(timezone=True)),
    Column("code_sha256", String(64), nullable=False, default=""),
    Column("code_until", DateTime(timezone=True)),
    Column("tries", Integer, nullable=False, default=0),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("project_id", "number", name="caller_ids_number_unique"),
)

applications = Table(
    "applications",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("type", String(32), nullable=False),
    Column("identifier", String(64), nullable=False, unique=True),
    Column("name", String(64), nullable=False, default=""),
    Column("settings", JSON, nullable=False),
    Column("ha1_md5", String(32), nullable=False, default=""),
    Column("ha1_sha256", String(64), nullable=False, default=""),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("answered_at", DateTime(timezone=True), nullable=False, index=True),
)

given_back = Table(
    "given_back",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("ends_at", DateTime(timezone=True), nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("endpoint_id", String(36), nullable=False),
    Column("instance_id", String(128), nullable=False),
    Column("name", String(64), nullable=False, default=""),
    Column("user_agent", String(200), nullable=False, default=""),
    Column("last_source", String(64), nullable=False, default=""),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True)),
    Column("ring", Boolean, nullable=False, default=True),
    Column("blocked", Boolean, nullable=False, default=False),
    Column("blocked_until", DateTime(timezone=True)),
    UniqueConstraint("endpoint_id", "instance_id", name="devices_instance_unique"),
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(36), nullable=False, index=True),
    Column("call_ref", String(36), nullable=False),
    Column("leg_ref", String(36), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("side", String(8), nullable=False),
    Column("file", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("error", String(500), nullable=False, default=""),
    Column("duration_ms", Integer, nullable=False, default=0),
    Column("bytes", BigInteger, nullable=False, default=0),
    Column("created_at", DateTime(timezone=True), nullable=False, index=True),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
