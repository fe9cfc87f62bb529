//! The way to a receiver: the checked address, TLS if the URL says so, the WebSocket handshake.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use offhook_media::description::Feed;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Bytes that wait in the kernel: what a receiver has not read is kept here, where the oldest can be dropped, and not there.
const SEND_BUFFER: usize = 16 << 10;
/// Largest message of a receiver, bytes: 16 s of the widest sound at once.
const MAX_MESSAGE: usize = 1 << 20;

/// Whom wss:// trusts: what the system trusts, read once.
#[derive(Default)]
pub struct Trust(OnceLock<Result<Arc<ClientConfig>, String>>);

impl Trust {
    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.0.get_or_init(read_trust).clone()
    }
}

fn read_trust() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A connection, secured or not.
pub enum Way {
    /// ws://
    Plain(TcpStream),
    /// wss://
    Secured(Box<TlsStream<TcpStream>>),
}

/// A WebSocket to a receiver.
pub type Socket = WebSocketStream<Way>;

/// Connects. The error is a sentence.
pub async fn connect(spec: &Feed, trust: &Trust) -> Result<Socket, String> {
    let address: SocketAddr = spec
        .address
        .parse()
        .map_err(|_| format!("{} is no address and port", spec.address))?;
    let mut request = spec
        .url
        .as_str()
        .into_client_request()
        .map_err(|e| format!("{}: {e}", spec.url))?;
    if !spec.bearer.0.is_empty() {
        let value = HeaderValue::from_str(&format!("Bearer {}", spec.bearer.0));
        let value = value.map_err(|_| "the bearer token cannot be sent in a header".to_owned())?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let agent = concat!("Offhook/", env!("CARGO_PKG_VERSION"));
    request
        .headers_mut()
        .insert("User-Agent", HeaderValue::from_static(agent));
    let stream = TcpStream::connect(address)
        .await
        .map_err(|e| format!("{address}: {e}"))?;
    // Without these a feed works too, only later.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
    let way = match request.uri().scheme_str() {
        Some("ws") => Way::Plain(stream),
        Some("wss") => {
            let host = request.uri().host().unwrap_or_default();
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(bare.to_owned()).map_err(|e| format!("{host}: {e}"))?;
            let connector = TlsConnector::from(trust.config()?);
            let secured = connector.connect(name, stream).await;
            Way::Secured(Box::new(secured.map_err(|e| format!("{host}: {e}"))?))
        }
        _ => return Err(format!("{} is neither ws:// nor wss://", spec.url)),
    };
    let config = WebSocketConfig::default()
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let shaken = client_async_with_config(request, way, Some(config)).await;
    shaken
        .map(|(socket, _)| socket)
        .map_err(|e| format!("{address}: {e}"))
}

impl AsyncRead for Way {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secured(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Way {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Secured(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secured(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secured(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
