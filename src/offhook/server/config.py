"""Every setting, in one typed tree with a docstring per field.

Lives here: names, defaults, bounds. Never here: where a setting is written (setting_sources.py).
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from offhook.server.setting_kinds import Address, Digits, DnsServer, Host, HostOrBelow, Network, Origin


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Http(_Group):
    """The port for browsers and REST clients."""

    host: str = "127.0.0.1"
    """Address all listeners bind, or several with commas; `::` is every address of both IP versions, `0.0.0.0` every one of
    IPv4. Loopback until you say otherwise, because a first start must not face the network."""
    port: int = Field(8080, ge=0, le=65535)
    """HTTP and WS; 0 takes any free port."""
    https_port: int = Field(8443, ge=0, le=65535)
    """HTTPS and WSS, once there is a certificate; 0 takes any free port."""
    certificate: Path | None = None
    """PEM file with the certificate chain; with `key`, HTTPS, WSS and SIP over TLS are served."""
    key: Path | None = None
    """PEM file with the certificate's private key. Both files are looked at every few seconds; new ones are served."""
    local_authority: bool = False
    """Without `certificate`: make an authority of our own and a certificate for every name and address of this machine. The
    page `/ca` installs the authority on the devices of a network that no public authority knows."""
    origins: tuple[Origin, ...] = ()
    """Further origins whose pages may open a SIP WebSocket; the server's own host always may. `null` stands for pages
    without one: local files and sandboxed frames."""
    cors_origins: tuple[Origin, ...] = ()
    """Origins whose pages may call the REST routes that take a bearer token or nothing; the dashboard's cookie never crosses
    origins."""
    trusted_proxies: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    """Networks whose Forwarded and X-Forwarded-* fields are believed."""

    @property
    def loopback(self) -> bool:
        """True while nobody but this machine can connect."""
        return all(one.strip() in ("127.0.0.1", "localhost", "::1") for one in self.host.split(","))


class Acme(_Group):
    """A certificate from a public authority, kept fresh (RFC 8555)."""

    domains: tuple[Host, ...] = ()
    """Public names of this server. With them a certificate is ordered and renewed by itself, and HTTP and HTTPS listen on 80
    and 443 unless their ports are given. Giving names accepts the authority's terms of service."""
    email: str = ""
    """Where the authority writes when something is wrong; may stay empty."""
    directory: str = Field("https://acme-v02.api.letsencrypt.org/directory", pattern="^https://")
    """The authority: its ACME directory."""
    directory_ca: Path | None = None
    """PEM file that the authority's own certificate is verified against, for one inside an organisation."""
    challenge: Literal["http-01", "tls-alpn-01"] = "http-01"
    """How a name is proved: by a page on port 80, or within TLS on port 443."""


class Sip(_Group):
    """SIP for phones, and the domain for all."""

    domain: Host = "localhost"
    """The canonical SIP domain; it is the digest realm and is frozen at the first start."""
    aliases: tuple[Host, ...] = ()
    """Further hosts that mean us; the addresses we listen on always do."""
    domain_suffix: str = Field("", pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)?$")
    """With wildcard DNS (`*.pbx.example.com`), the part after the star: a subproject with a `domain_identifier` has
    IDENTIFIER.SUFFIX for itself, with user names, a realm and registrations of its own."""
    project_aliases: tuple[HostOrBelow, ...] = ()
    """Hosts (or `.example.com` for all below) that subprojects may take as aliases; those under their own domain they always
    may. What means one project means it for every caller, so that only names of its own should be listed."""
    port: int = Field(5060, ge=0, le=65535)
    """UDP and TCP; 0 takes any free port."""
    tls_port: int = Field(5061, ge=0, le=65535)
    """SIP over TLS, once there is a certificate."""
    digest_order: tuple[Literal["MD5", "SHA-256"], ...] = Field(("MD5",), min_length=1)
    """Digest algorithms offered, in this order: MD5, SHA-256. JsSIP, SIP.js and baresip take MD5 alone."""
    digest_uri: str = Field("host", pattern="^(host|exact|off)$")
    """What the uri of a digest must be: `host`, any URI of a host of ours; `exact`, the Request-URI; `off`, anything."""
    ephemeral_hash: str = Field("sha256", pattern="^(sha256|sha1)$")
    """HMAC of passwords that expire: sha256, or sha1 for back ends that know nothing else."""
    token_jwks: str = ""
    """JWK set (file or https URL) whose keys sign tokens for this server: EdDSA, ES256, RS256."""
    token_issuer: str = ""
    """`iss` that tokens of that key set must carry; empty takes any."""
    authz_server: str = ""
    """Authorization server to name in a Bearer challenge (RFC 8898). Only set it when no JsSIP or SIP.js uses passwords:
    JsSIP reads the last challenge alone."""
    trusted_proxies: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    """Networks whose SIP proxies may set Path in a registration (RFC 3327)."""
    outbound_strict: bool = False
    """Answer 439 where the first proxy keeps no flows (RFC 5626); without it such devices are registered all the same."""
    ring_seconds: int = Field(60, ge=1, le=600)
    """How long a callee rings before the caller hears that nobody answers."""
    pass_headers: tuple[str, ...] = ()
    """Further fields of a caller's INVITE that reach the devices called, by name; X- fields and User-to-User always do."""
    refer_hosts: tuple[Host, ...] = ()
    """Hosts that devices name in Refer-To and that mean our domain: some clients write their vendor's own."""
    store_texts: bool = False
    """Keep a text that no device takes, answer 202 and deliver it when one registers; else its sender gets 480."""
    password_min_length: int = Field(8, ge=1, le=128)
    """Shortest password an endpoint may have."""
    force_rport: bool = False
    """Answer phones over UDP to the port they sent from even where they do not ask for it: for old phones behind a NAT.
    Without it the port of their Via counts, as RFC 3261 says."""
    dns_servers: tuple[DnsServer, ...] = ()
    """DNS servers to ask instead of the machine's own, `address` or `address:port`."""
    tls_authorities: Path | None = None
    """PEM file with the authorities that certificates of trunks and of phones are verified against; those of the system for
    trunks unless given."""
    tls_client_certificates: Literal["off", "optional", "required"] = "off"
    """Whether SIP over TLS asks a client for its certificate. `optional` verifies one that is shown (a trunk may be known by
    it), `required` refuses who shows none. Needs `tls_authorities`."""
    tls_wildcards: bool = False
    """Let `*.example.com` in a trunk's certificate count for sip.example.com; RFC 5922 says it must not."""
    session_expires: int = Field(1800, ge=90, le=86_400)
    """Seconds of the session timer we propose (RFC 4028): a device that died in a call is noticed within this time."""
    min_se: int = Field(90, ge=90, le=3600)
    """Shortest session timer in seconds we accept from a device."""
    country: str = Field("US", pattern="^[A-Z]{2}$")
    """ISO 3166 country whose rules national numbers and short codes are read by."""
    pstn_enabled: bool = True
    """False is the kill switch: every call to a trunk but an emergency is refused at once."""
    external_sip: str = Field("all", pattern="^(all|api_only|none)$")
    """Who may call foreign SIP URIs (`sip:carol@elsewhere.example`): all endpoints, calls of the API only, or nobody."""
    strict_caller_id: bool = False
    """Refuse a call that asks to be shown with a number that is neither ours nor verified, instead of showing another."""
    hold: str = Field("local", pattern="^(local|pass)$")
    """`local`: who is held hears music and is told nothing; `pass`: its phone is shown the hold, a trunk never is."""
    t1: float = Field(0.5, gt=0, le=4)
    """RFC 3261 timer T1 in seconds; change it in tests only."""


class Outbound(_Group):
    """Which addresses the server may send to by itself."""

    networks: tuple[Network, ...] = ()
    """Private networks (`10.0.0.0/8`) that foreign SIP URIs, webhooks and documents may lead to. What a trunk or a setting
    names is always open; multicast, broadcast and reserved addresses never are."""


class Webhooks(_Group):
    """Webhooks and documents: HTTP that the server sends by itself."""

    allow_networks: tuple[Network, ...] = ()
    """Private networks that webhooks and documents may lead to, beside `outbound.networks`. A server that listens on
    loopback only may reach loopback too; metadata services of clouds only where a network of theirs is written here."""
    connect_seconds: float = Field(5.0, gt=0, le=60)
    """Seconds a receiver has to take the connection, looking up its name included."""
    total_seconds: float = Field(15.0, gt=0, le=120)
    """Seconds a receiver has to answer in all."""
    first_retry: float = Field(1.0, gt=0, le=60)
    """Seconds to the second try; each later one waits twice as long, ten retries in all. Change it in tests only."""
    at_once: int = Field(100, ge=1, le=1000)
    """Deliveries under way at a time: each takes a connection and a few KB."""
    at_once_per_receiver: int = Field(10, ge=1, le=1000)
    """Of these to one receiver, so that a slow one holds up nobody else; a receiver that fails is asked by two at a time."""
    retention_days: int = Field(7, ge=1)
    """Days a delivery is kept after its end, for `retry` and to be looked at."""


class Events(_Group):
    """What is told of calls, devices, trunks and the server."""

    retention_days: int = Field(30, ge=1)
    """Days an event can be read; a cursor older than that has expired."""
    streams: int = Field(100, ge=1)
    """Event streams that may be open at a time; each looks into the database at every event."""


class Numbers(_Group):
    """Phone numbers."""

    emergency: tuple[Digits, ...] = ()
    """Further emergency numbers, beside 911, 112, 933 and those of `sip.country`."""


class Media(_Group):
    """The media engine."""

    port: int = Field(40000, ge=0, le=65535)
    """UDP port for browsers, one more per further shard unless `media.single_port` is on; 0 takes any free port."""
    rtp_ports: str = Field("41000-44999", pattern=r"^\d{1,5}-\d{1,5}$")
    """Ports for SIP phones, `from-to`; a call's leg takes two."""
    public_address: tuple[Address, ...] = ()
    """Addresses to announce beside those of the host's interfaces: the outside of a 1:1 NAT. SIP names them too, in Via and
    Contact towards public addresses."""
    offer_loopback: bool = True
    """Announce 127.0.0.1 to browsers too while `http.host` is loopback, so that a machine without network works."""
    sha_1_fingerprints: bool = False
    """Believe certificates that a phone describes by SHA-1 alone: it is broken, and only very old phones know no better."""
    private_addresses_of_trunks: bool = False
    """Send media to the private address that a trunk names though its signalling comes from a public one: for carriers
    reached by a line of their own. Otherwise it goes where their packets come from, as with foreign SIP URIs, always."""
    ice_tcp: bool = True
    """Let browsers whose network blocks UDP send media over TCP to the port for pages."""
    shards: int = Field(0, ge=0, le=64)
    """Threads of the engine; 0 = cores minus one, at least one."""
    single_port: bool = False
    """Tell browsers of `media.port` alone, whatever the number of threads: one reads it and hands on what is another's. For
    firewalls in which every port counts; one for each thread costs less."""
    pin: bool = False
    """Keep each thread of the engine on a processor of its own, the last ones of those allowed: for a machine that serves
    nothing else. Refused where the threads are more than the processors."""
    grace: int = Field(60, ge=1, le=3600)
    """Seconds the engine keeps its legs when the signalling process is gone."""


class Sounds(_Group):
    """What the server says. Files in `sounds/` of the data directory are played in the place of its own of the same name."""

    language: Literal["en"] = "en"
    """Language of its prompts: a directory of that name below `sounds/`."""
    conference_tones: bool = True
    """A short tone tells a conference that somebody came (`tones/joined`) or went (`tones/left`), one a second at most."""
    conference_full_band: bool = False
    """Mix conferences at 48 kHz for browsers and phones that hear Opus of full band, as music wants it; otherwise at 16 kHz,
    as speech needs it. Costs about a third more computing, and 40 instead of 24 kbit/s for each of them."""


class Limits(_Group):
    """The one limits table (reasons beside the numbers in docs/reference/settings.md)."""

    max_message: int = Field(65_536, ge=1_024)
    """Octets of one SIP message: browser offers reach 12 KiB."""
    max_body: int = Field(61_440, ge=1_024)
    """Octets of a message's body."""
    max_header_bytes: int = Field(32_768, ge=4_096)
    """Octets of a message's header fields together: long lines of the RFCs' own examples pass."""
    max_header_line: int = Field(8_192, ge=1_024)
    """Octets of one header field: HTTP servers choose the same."""
    max_headers: int = Field(200, ge=50)
    """Header fields of a message."""
    max_via: int = Field(70, ge=1)
    """Via values of a message: Max-Forwards starts at 70."""
    max_routes: int = Field(32, ge=1)
    """Route or Record-Route values of a message: a deeper route set is an error."""
    max_call_id: int = Field(256, ge=64)
    """Octets of a Call-ID: it is a key that lives in memory."""
    max_uri: int = Field(2_048, ge=256)
    """Octets of a URI: a Refer-To with a dialog to replace fits."""
    max_field_params: int = Field(32, ge=10)
    """Parameters of one value: a Contact for push has ten."""
    max_tag: int = Field(256, ge=64)
    """Octets of a tag, as of a Call-ID."""
    max_branch: int = Field(256, ge=64)
    """Octets of a branch, as of a Call-ID."""
    max_parts: int = Field(8, ge=2)
    """Parts of one body, and two deep: a description, a location and a picture are three."""
    max_sdp_lines: int = Field(1_000, ge=100)
    """Lines of a session description: browsers' with video have some 250."""
    max_media: int = Field(16, ge=2)
    """Media of a session description: audio, video and what meetings add."""
    max_candidates: int = Field(64, ge=8)
    """ICE candidates of one medium: a host with many interfaces has 20."""
    flows: int = Field(100_000, ge=1)
    """Open connections per node. The limit of open files is raised for it as far as the system allows."""
    flows_per_source: int = Field(1_000, ge=1)
    """Open connections per source address: an office behind one address."""
    transactions: int = Field(200_000, ge=1)
    """SIP transactions per node: 32 s at 6,000 a second."""
    dialogs: int = Field(50_000, ge=1)
    """Dialogs per node, of calls and subscriptions: 4 KiB each."""
    transactions_per_flow: int = Field(500, ge=1)
    """SIP transactions per connection or UDP peer: a page has a dozen, a PBX some hundreds."""
    flow_grace: float = Field(90.0, ge=0)
    """Seconds a call waits for a device whose connection is gone, once its media is silent."""
    detached_silence: float = Field(15.0, ge=0)
    """Seconds without media after which `flow_grace` starts."""
    detached_limit: float = Field(1800.0, ge=0)
    """Seconds that its media alone keeps a call whose device's connection is gone: one session interval."""
    reopen_limit: float = Field(20.0, ge=0)
    """Seconds that calls wait for a new media engine after one has died: it is there in one, or fails for a reason."""
    reopen_handshake: float = Field(3.0, ge=0)
    """Seconds after which a browser with a path, but without a word of a handshake since the engine died, is given a new
    transport: others repeat their first words every second."""
    reopen_silence: float = Field(10.0, ge=0)
    """Seconds after which a device that was heard before the engine died, and is not since, ends its call."""
    reload_grace: float = Field(30.0, ge=0)
    """Seconds a call waits for a page that said it leaves: a reload takes 2 to 8."""
    late_arrival: float = Field(8.0, ge=0)
    """Seconds a call rings on for an endpoint whose last connection was lost within a minute: it is back in 2 to 4."""
    late_asleep: float = Field(20.0, ge=0)
    """Seconds a call rings on for a page that does not answer at all: a frozen tab may wake, or another device come."""
    media_timeout: float = Field(60.0, ge=0)
    """Seconds without media from a connected device, not on hold, after which its call ends; 0 never ends one."""
    leg_queue: int = Field(16, ge=1, le=1000)
    """Requests kept for a device whose connection is gone: a page that is away for a minute misses a dozen digits."""
    tombstone: float = Field(600.0, ge=0)
    """Seconds a call that ended without its device is remembered, so that the device hears of it when it returns."""
    late_caller: float = Field(4.0, ge=0)
    """Seconds a ringing call waits for its caller's connection."""
    register_rate: float = Field(5.0, gt=0)
    """REGISTER per second and address of record."""
    register_source_rate: float = Field(20.0, gt=0)
    """REGISTER per second and source before proof of identity; bursts of three times that."""
    unauth_rate: float = Field(20.0, gt=0)
    """Requests per second and source without proof of identity, REGISTER not counted; bursts of twice that. Scanners send
    hundreds."""
    loop_lag: float = Field(0.2, gt=0)
    """Seconds the server may be late before it refuses new calls (503), and then registrations."""
    drain_spread: float = Field(10.0, ge=0)
    """Seconds over which idle connections are closed when the server stops, so that not all come back at once."""
    call_rate: float = Field(10.0, gt=0)
    """New calls per second and endpoint; bursts of twice that."""
    text_rate: float = Field(5.0, gt=0)
    """MESSAGE per second and endpoint; bursts of twice that."""
    info_rate: float = Field(20.0, gt=0)
    """INFO per second in one dialog: fast dialling is 12 digits a second."""
    text_max: int = Field(8_192, ge=1)
    """Octets of one text: chat, not files."""
    texts_kept: int = Field(100, ge=0)
    """Texts kept for one endpoint while none of its devices is there (sip.store_texts); the oldest go first."""
    devices_kept: int = Field(100, ge=1)
    """Devices remembered of one endpoint, ten times what people have; the ones unseen for longest go, blocked ones stay."""
    text_days: int = Field(30, ge=1)
    """Days such a text is kept."""
    max_breadth: int = Field(60, ge=1)
    """Branches of a call that may ring at once, here and wherever it is forwarded to (RFC 5393)."""
    forward_hops: int = Field(5, ge=0, le=20)
    """Forwardings one call may go through: people lose track earlier."""
    fork_targets: int = Field(50, ge=1, le=200)
    """Devices that one call may ring."""
    trunk_call_rate: float = Field(2.0, gt=0)
    """New calls to numbers per second and endpoint; bursts of five times that. Stolen passwords are used at once."""
    foreign_rate: float = Field(1.0, gt=0)
    """Calls to foreign SIP URIs per second and endpoint."""
    trunk_tries: int = Field(4, ge=1, le=16)
    """Addresses that one call tries: four times four seconds are the caller's patience."""
    trunk_set_aside: float = Field(300.0, ge=0, le=3600)
    """Longest time in seconds for which a carrier's 503 with Retry-After sends calls elsewhere; 0: its word is ignored."""
    trunk_ring_time: int = Field(90, ge=5, le=600)
    """Seconds a number rings before the caller hears that nobody answers."""
    fails_per_user_source: int = Field(10, ge=1)
    """Wrong passwords for one user from one source in ten minutes before answers stop being checked."""
    fails_per_source: int = Field(60, ge=1)
    """Wrong passwords from one source in ten minutes."""
    fails_per_user: int = Field(100, ge=1)
    """Wrong passwords for one user from everywhere in ten minutes that raise an alarm; the user is never locked for it."""
    nonce_life: float = Field(600.0, ge=0)
    """Seconds a digest challenge is good for."""
    nc_lru: int = Field(100_000, ge=1_000)
    """Nonces whose uses are remembered after a right answer; 32 octets each."""
    flow_trust: float = Field(43_200.0, ge=0)
    """Seconds a secure connection that proved its endpoint is not asked again."""
    register_storm: float = Field(2_000.0, gt=0)
    """REGISTER per second and node: after a restart all come at once."""
    expires_min: int = Field(60, ge=1)
    """Shortest registration in seconds."""
    expires_max: int = Field(3600, ge=1)
    """Longest registration in seconds."""
    subscriptions_per_endpoint: int = Field(250, ge=0)
    """Subscriptions (busy lamps, presence, message waiting) of one endpoint: side-cars have 160 keys."""
    options_every: float = Field(60.0, ge=0)
    """Seconds of silence after which a UDP phone is asked whether it is there; two unanswered OPTIONS end its registration,
    which also keeps its NAT open. 0 never asks."""
    options_rate: int = Field(100, ge=1)
    """OPTIONS to UDP phones per second at most."""
    contacts_per_register: int = Field(10, ge=1)
    """Contacts of one REGISTER: devices send one."""
    contacts_per_aor: int = Field(50, ge=1)
    """Devices of one endpoint at a time."""
    document_bytes: int = Field(1_048_576, ge=1_024)
    """Octets of a SWML or cXML document; what people write has a few KB."""
    document_seconds: float = Field(10.0, gt=0, le=60)
    """Seconds a server of documents has to answer; a caller hears nothing meanwhile."""
    document_redirects: int = Field(10, ge=0, le=50)
    """Documents, and redirects of one, in a row: more are a circle."""
    dial_per_second: float = Field(50.0, gt=0)
    """Calls per second and project that the API places, on each server; more wait as `queued`."""
    dial_backlog: int = Field(10_000, ge=1)
    """Calls of a project that wait to be placed; beyond it the API answers 429."""
    guest_addresses: int = Field(10, ge=1, le=16)
    """Addresses that one guest's token may call: they stand in the guest's name, which a device sends with every request."""
    call_seconds: int = Field(86_400, ge=0)
    """Seconds a call may talk, looked at twice a minute; 0 ends none. A call that nobody hung up costs a channel."""
    ip_auth_entries: int = Field(256, ge=1, le=10_000)
    """Addresses and networks that one domain application or SIP address lists: more belong into a firewall."""
    custom_variables: int = Field(20, ge=1, le=100)
    """Variables of one call that the API places."""
    body_bytes: int = Field(1_048_576, ge=1_024)
    """Octets of a REST request's body."""
    api_writes_per_second: float = Field(1000.0, gt=0)
    """REST requests that change something, per project and second on each server; bursts of twice that."""
    api_reads_per_second: float = Field(5000.0, gt=0)
    """REST requests that only read, per project and second on each server; bursts of twice that."""
    idempotency_keys: int = Field(100_000, ge=0)
    """Answers kept for requests with an Idempotency-Key; beyond it the oldest go before their day is over."""
    login_failures_per_minute: int = Field(20, ge=1)
    """Wrong API tokens per source and minute, on each server."""
    datagram: int = Field(1300, ge=576, le=65_000)
    """Octets a request of ours may have over UDP; above it goes by TCP, or in compact form where the peer takes none."""
    datagram_tcp: float = Field(1.0, gt=0, le=10)
    """Seconds such a peer has to take the TCP connection."""
    dns_lookup: float = Field(2.0, gt=0, le=10)
    """Seconds one name may take to be looked up; a caller waits for it."""
    connect: float = Field(3.5, gt=0, le=30)
    """Seconds a connection to a trunk may take, TLS included: a try has four."""
    stream_idle: float = Field(180.0, ge=0)
    """Seconds without a message or keepalive after which a TCP or TLS connection without calls is closed."""
    first_message: float = Field(30.0, ge=0)
    """Seconds to the first message of a connection."""
    proof: float = Field(60.0, ge=0)
    """Seconds to a proof of identity on a WebSocket."""
    tls_handshake: float = Field(10.0, ge=0)
    """Seconds a TLS handshake may take: slow phones need 3."""
    upgrade: float = Field(10.0, ge=0)
    """Seconds to the first byte, and to the whole head of an HTTP request."""
    ws_queue_high: int = Field(65_536, ge=4_096)
    """Octets waiting for a client, on any connection, above which nothing more is read from it: twenty messages."""
    ws_queue_max: int = Field(262_144, ge=65_536)
    """Octets waiting for a client above which its connection is closed (1013)."""
    ws_stall: float = Field(10.0, ge=0)
    """Seconds a client may take nothing of what waits for it: longer than a Wi-Fi hand-over."""
    ws_ping_after: float = Field(20.0, ge=0)
    """Seconds of silence before a ping (up to a quarter more, drawn per connection)."""
    ws_pong_within: float = Field(10.0, ge=0)
    """Seconds to a pong; two missed ones end the flow."""


class Store(_Group):
    """The database."""

    url: SecretStr = SecretStr("")
    """`postgresql://user:password@host/database`, for several nodes or a database that is looked after already; empty is a
    SQLite file in the data directory."""
    start_wait: float = Field(60.0, ge=0)
    """Seconds a start waits for a database that cannot be reached: after a power cut all come up at once."""
    node_lease: float = Field(60.0, ge=5, le=3_600)
    """Seconds after which other nodes take what one held that is no longer seen: its part of `max_channels` of trunks, and
    its registrations there. Longer than a restart takes."""
    waiting_rows: int = Field(1_000_000, ge=1_000)
    """Rows (of call log, traces, phones' registrations) that wait in the data directory while the database takes none: some
    hours of a busy node, 1 to 2 KB each. Beyond it the oldest are lost."""


class Calls(_Group):
    """Calls that commands and documents steer."""

    parked_seconds: float = Field(30.0, gt=0, le=3600)
    """Seconds that a leg without partner and document waits to be taken up again, before it ends."""
    ended_kept: int = Field(1_000, ge=100)
    """Ended calls that are shown, and found for their traces, without a look into the database: some 10 KB each."""


class Quality(_Group):
    """From which figures on the sound of a leg is a finding, in two samples of five seconds in a row."""

    rtt_ms: float = Field(400.0, gt=0)
    """Milliseconds there and back: people begin to talk at once."""
    jitter_ms: float = Field(30.0, gt=0)
    """Milliseconds of unevenness: buffers grow, or packets come too late."""
    loss_percent: float = Field(3.0, gt=0, le=100)
    """Percent of packets lost: words are missing."""
    mos: float = Field(3.0, ge=1, le=5)
    """Mean opinion score: many are annoyed below it."""
    late_percent: float = Field(3.0, gt=0, le=100)
    """Percent of packets that came too late to be heard: words are missing."""
    drift_ppm: float = Field(200.0, gt=0)
    """Parts per million that the clock of a device runs wrong: twice what a cheap crystal does."""


class Logs(_Group):
    """The call log and the details beside it."""

    retention_days: int = Field(365, ge=1)
    """Days for which a leg stands in the call log. Then only its id and its time are left, and a month later nothing."""
    call_detail_days: int = Field(30, ge=1)
    """Days for which a call is shown with all its figures after its end."""
    details_per_second: float = Field(20.0, ge=0)
    """Ended calls in a second whose details are kept, beside all with findings: each costs a third of a millisecond."""


class Recordings(_Group):
    """Recordings of calls, in `recordings/` of the data directory."""

    retention_days: int = Field(365, ge=1)
    """Days for which a recording is kept: then it goes with its file."""


class Trace(_Group):
    """What is kept of each call, for `offhook trace` and the API."""

    enabled: bool = True
    """Keep messages, media events and decisions of calls in memory; off saves about 20 KB per call."""
    calls: int = Field(1_000, ge=0)
    """Ended calls kept in memory."""
    megabytes: int = Field(64, ge=1)
    """Memory for all traces; the longest ended calls go first."""
    messages_per_dialog: int = Field(300, ge=10)
    """Messages kept from the beginning of each dialog, and 50 from its end; those between are counted."""
    stored_per_second: int = Field(5, ge=0)
    """Traces of ended calls written to the database in a second, failed calls first; 0 writes none."""
    stored: int = Field(10_000, ge=0)
    """Traces kept in the database: some 50 MB."""
    retention_days: int = Field(7, ge=1)
    """Days a trace stays in the database."""


class Homer(_Group):
    """A copy of every SIP message to a Homer collector (HEP3 over UDP), secrets removed."""

    server: str = Field("", pattern=r"^(|.+:\d{1,5})$")
    """The collector, host:port (9060 at most of them); empty sends nothing."""
    agent: int = Field(2001, ge=0, le=4_294_967_295)
    """Capture agent id, to tell nodes apart."""
    key: SecretStr = SecretStr("")
    """Authentication key of the collector, if it wants one."""


class Log(_Group):
    """Logging."""

    level: str = Field("info", pattern="^(debug|info|warning|error)$")
    """debug, info, warning or error. Debug writes SIP messages, secrets redacted."""
    format: Literal["text", "json"] = "text"
    """`text`: `key='value'` for people; `json`: an object per line for programs. The same fields in both."""


class Settings(_Group):
    """The tree."""

    data: Path = Path("offhook-data")
    """Directory for the database, the engine's control socket and first-run.json; made with mode 0700."""
    http: Http = Http()
    acme: Acme = Acme()
    sip: Sip = Sip()
    outbound: Outbound = Outbound()
    webhooks: Webhooks = Webhooks()
    events: Events = Events()
    numbers: Numbers = Numbers()
    media: Media = Media()
    sounds: Sounds = Sounds()
    limits: Limits = Limits()
    store: Store = Store()
    calls: Calls = Calls()
    quality: Quality = Quality()
    logs: Logs = Logs()
    recordings: Recordings = Recordings()
    trace: Trace = Trace()
    homer: Homer = Homer()
    log: Log = Log()

    @property
    def secure(self) -> bool:
        """True if HTTPS, WSS and SIP over TLS are served."""
        return self.http.certificate is not None or self.http.local_authority or bool(self.acme.domains)

    @property
    def rtp_range(self) -> tuple[int, int]:
        """First and last port for SIP legs."""
        low, high = self.media.rtp_ports.split("-")
        return int(low), int(high)
