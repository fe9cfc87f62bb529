"""A confirmed dialog as plain data, and its INVITE usage made from it again after a restart (LIVE-15).

Lives here: what has to be known of a dialog to go on speaking in it. Never here: where that is kept.
"""

from offhook.sip.core import Core
from offhook.sip.dialog import Dialog
from offhook.sip.dialog_record import DialogRecord, octets, text
from offhook.sip.flow import Flow
from offhook.sip.invite_usage import InviteUsage
from offhook.sip.session_timer import Terms
from offhook.sip.transaction.machine import Effect
from offhook.sip.uri import parse_uri
from offhook.sip.usage_state import Phase

CSEQ_STEP = 100
"""Added to our sequence number: more requests than that are not sent between two records of a dialog."""


def record_of(usage: InviteUsage) -> DialogRecord | None:
    """None for a usage without a confirmed dialog."""
    dialog, terms = usage.dialog, usage.session.timer.terms
    if dialog is None or usage.over or not dialog.key.remote_tag:
        return None
    return DialogRecord(
        usage=usage.id,
        peer=usage.peer,
        call_id=octets(dialog.key.call_id),
        local_tag=octets(dialog.key.local_tag),
        remote_tag=octets(dialog.key.remote_tag),
        local=octets(dialog.local),
        remote=octets(dialog.remote),
        contact_user=dialog.contact_user,
        remote_target=octets(str(dialog.remote_target)),
        route_set=tuple(octets(route) for route in dialog.route_set),
        local_cseq=dialog.local_cseq,
        remote_cseq=dialog.remote_cseq,
        owns_call_id=usage.owns_call_id,
        allow=usage.allowed,
        interval=0 if terms is None else terms.interval,
        refresh_is_ours=terms is None or terms.ours,
        peer_has_timer=terms is not None and terms.spoken,
    )


class RevivedInvite(InviteUsage):
    """A usage whose INVITE was another process's."""

    def __init__(self, core: Core, record: DialogRecord, flow: Flow) -> None:
        super().__init__(core, record.usage, flow, record.peer)
        self._owns_call_id = record.owns_call_id
        self.dialog = Dialog(
            record.key,
            text(record.local),
            text(record.remote),
            record.contact_user,
            flow,
            parse_uri(text(record.remote_target)),
            tuple(text(route) for route in record.route_set),
            record.local_cseq + CSEQ_STEP,
            record.remote_cseq,
        )
        self.phase = Phase.ESTABLISHED
        self.allowed = record.allow
        if record.interval:
            self.session.timer.terms = Terms(record.interval, record.refresh_is_ours, record.peer_has_timer)
        self._register(record.key)

    @property
    def owns_call_id(self) -> bool:
        """See InviteUsage."""
        return self._owns_call_id

    def start(self) -> list[Effect]:
        """Over UDP the dialog goes on; a connection cannot have outlived the process, so its peer has to come back."""
        self.core.attach(self)
        if self.flow.transport.reliable:
            return self.lose_flow()
        return self.session.resume(self)
