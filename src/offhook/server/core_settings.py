"""What the settings mean to the core: each of its rooms is given the values that it obeys, and never sees the tree.

Lives here: which setting goes where. Never here: what the core does with them.
"""

from datetime import UTC, datetime, timedelta

from offhook.calls.numbers import dialled_in, is_emergency
from offhook.calls.outbound import OutboundSettings
from offhook.calls.switchboard import CallConfig
from offhook.calls.thresholds import Thresholds
from offhook.server.config import Settings
from offhook.server.number_plan import WorldPlan
from offhook.server.profiles import Profiles
from offhook.server.recorder import TraceLimits
from offhook.sip.config import RegistrarLimits, SipConfig, StrangerLimits, SubscriptionLimits
from offhook.sip.credentials import AuthSettings
from offhook.sip.timers import Timers as SipTimers
from offhook.sip.transaction.table import TransactionLimits
from offhook.sip.uri import Uri
from offhook.store.space import Space


class CoreSettings:
    """Of one server. `epoch` is the wall clock, in seconds, at the zero of the core's monotonic one."""

    def __init__(self, settings: Settings, space: Space, profiles: Profiles, epoch: float) -> None:
        self._settings, self._space, self._profiles, self.epoch = settings, space, profiles, epoch

    def trace(self) -> TraceLimits:
        """For what is remembered of calls."""
        trace = self._settings.trace
        return TraceLimits(per_strand=trace.messages_per_dialog, bytes=trace.megabytes * 1_048_576, calls=trace.calls)

    def auth(self) -> AuthSettings:
        """For who is who."""
        limits = self._settings.limits
        return AuthSettings(
            realm=self._space.realm,
            hosts=self._profiles.hosts,
            domains=self._profiles.domains,
            digest_order=self._settings.sip.digest_order,
            digest_uri=self._settings.sip.digest_uri,
            ephemeral_hash=self._settings.sip.ephemeral_hash,
            authz_server=self._settings.sip.authz_server,
            nonce_life=limits.nonce_life,
            nc_lru=limits.nc_lru,
            trust_for=limits.flow_trust,
            trusted_flows=limits.flows,
            fails_per_user=limits.fails_per_user,
            epoch=self.epoch,
            fails_per_user_source=limits.fails_per_user_source,
            fails_per_source=limits.fails_per_source,
        )

    def sip(self) -> SipConfig:
        """For transactions, dialogs and the registrar."""
        limits = self._settings.limits
        return SipConfig(
            domain=self._space.domain,
            aliases=self._profiles.hosts,
            domains=self._profiles.domains,
            realm=self._space.realm,
            trusted_proxies=self._settings.sip.trusted_proxies,
            outbound_strict=self._settings.sip.outbound_strict,
            epoch=self.epoch,
            force_rport=self._settings.sip.force_rport,
            timers=SipTimers(t1=self._settings.sip.t1),
            session_expires=self._settings.sip.session_expires,
            min_se=self._settings.sip.min_se,
            leg_queue=limits.leg_queue,
            tombstone=limits.tombstone,
            most_dialogs=limits.dialogs,
            strangers=StrangerLimits(limits.unauth_rate, 2 * limits.unauth_rate),
            urgent=self._is_emergency,
            transactions=TransactionLimits(limits.transactions, limits.transactions_per_flow, limits.datagram),
            subscriptions=SubscriptionLimits(per_endpoint=limits.subscriptions_per_endpoint),
            registrar=RegistrarLimits(
                expires_min=limits.expires_min,
                expires_max=limits.expires_max,
                contacts_per_aor=limits.contacts_per_aor,
                contacts_per_request=limits.contacts_per_register,
                storm=limits.register_storm,
                probe_after=limits.options_every,
                probe_rate=limits.options_rate,
                rate_per_aor=limits.register_rate,
                rate_per_source=limits.register_source_rate,
                burst_per_source=3 * limits.register_source_rate,
            ),
        )

    def _is_emergency(self, uri: Uri) -> bool:
        country = self._profiles.domains.country(self._profiles.domains.of(uri.host)) or self._settings.sip.country
        return is_emergency(dialled_in(uri), country, WorldPlan(), self._settings.numbers.emergency)

    def calls(self) -> CallConfig:
        """For the switchboard."""
        limits = self._settings.limits
        return CallConfig(
            domain=self._space.domain,
            hosts=self._profiles.hosts,
            domains=self._profiles.domains,
            ring_seconds=self._settings.sip.ring_seconds,
            hold=self._settings.sip.hold,
            language=self._settings.sounds.language,
            conference_tones=self._settings.sounds.conference_tones,
            conference_full_band=self._settings.sounds.conference_full_band,
            parked_seconds=self._settings.calls.parked_seconds,
            ended_kept=self._settings.calls.ended_kept,
            thresholds=Thresholds(**self._settings.quality.model_dump()),
            document_hops=limits.document_redirects,
            flow_grace=limits.flow_grace,
            detached_silence=limits.detached_silence,
            late_caller=limits.late_caller,
            reload_grace=limits.reload_grace,
            detached_limit=limits.detached_limit,
            reopen_limit=limits.reopen_limit,
            reopen_handshake=limits.reopen_handshake,
            reopen_silence=limits.reopen_silence,
            late_arrival=limits.late_arrival,
            late_asleep=limits.late_asleep,
            media_timeout=limits.media_timeout,
            tombstone=limits.tombstone,
            call_rate=limits.call_rate,
            text_rate=limits.text_rate,
            text_max=limits.text_max,
            info_rate=limits.info_rate,
            store_texts=self._settings.sip.store_texts,
            fork_targets=limits.fork_targets,
            max_breadth=limits.max_breadth,
            forward_hops=limits.forward_hops,
            pass_headers=self._settings.sip.pass_headers,
            refer_hosts=frozenset(host.lower() for host in self._settings.sip.refer_hosts),
        )

    def outbound(self) -> OutboundSettings:
        """For the way out: trunks, numbering plans, policies."""
        sip, limits = self._settings.sip, self._settings.limits
        midnight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return OutboundSettings(
            country=sip.country,
            emergency=self._settings.numbers.emergency,
            enabled=sip.pstn_enabled,
            external_sip=sip.external_sip,
            strict_caller_id=sip.strict_caller_id,
            tries=limits.trunk_tries,
            ring_seconds=limits.trunk_ring_time,
            rate=limits.trunk_call_rate,
            burst=5 * limits.trunk_call_rate,
            foreign_rate=limits.foreign_rate,
            day_ends=midnight.timestamp() - self.epoch,
        )
