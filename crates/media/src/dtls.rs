//! DTLS-SRTP on `dimpl`: the process's certificate and the associations of a leg.

use std::sync::Arc;

use dimpl::DtlsCertificate;

/// The certificate of this process: fresh ECDSA P-256, never stored (a changed fingerprint is what makes a browser build
/// a new association when a restarted node re-INVITEs).
#[derive(Clone)]
pub struct Identity {
    certificate: Arc<DtlsCertificate>,
    fingerprint: Arc<str>,
}

impl Identity {
    /// Draws a new key and certificate. An error means that the system's generator or AWS-LC failed.
    pub fn generate() -> Result<Self, String> {
        let certificate = dimpl::certificate::generate_self_signed_certificate().map_err(|e| e.to_string())?;
        let fingerprint = Arc::from(certificate.fingerprint_str());
        Ok(Self { certificate: Arc::new(certificate), fingerprint })
    }

    /// SHA-256 of the certificate in upper-case hex pairs (RFC 8122 section 5).
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    #[allow(dead_code)]
    pub(crate) fn certificate(&self) -> &DtlsCertificate {
        &self.certificate
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<identity {}>", self.fingerprint)
    }
}
