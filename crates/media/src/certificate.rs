//! Whose certificate it is: signatures of a handshake's peer, by keys of either kind.
//!
//! `dimpl` knows ECDSA alone. Phones and PBXs that use OpenSSL or mbedTLS mostly have RSA; as clients of the handshake they
//! need no more of us than to believe their signature (docs/decisions/0038-rsa-certificates.md).

use ::aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, UnparsedPublicKey,
};
use dimpl::crypto::aws_lc_rs::default_provider;
use dimpl::crypto::{CryptoProvider, HashAlgorithm, SignatureAlgorithm, SignatureVerifier};
use dimpl::{CryptoError, CryptoOperation};
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// `dimpl`'s own provider, which believes RSA signatures too.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        signature_verification: &EITHER,
        ..default_provider()
    }
}

static EITHER: Either = Either;

/// ECDSA by `dimpl`'s verifier, RSA by ours.
#[derive(Debug)]
struct Either;

impl SignatureVerifier for Either {
    fn verify_signature(
        &self,
        certificate: &[u8],
        data: &[u8],
        signature: &[u8],
        hash: HashAlgorithm,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        if algorithm == SignatureAlgorithm::RSA {
            return verify_rsa(certificate, data, signature, hash);
        }
        default_provider().signature_verification.verify_signature(
            certificate,
            data,
            signature,
            hash,
            algorithm,
        )
    }
}

/// RSASSA-PKCS1-v1_5 (RFC 5246 section 4.7) with 2 048 to 8 192 bits: shorter keys are within reach, longer ones a way to
/// make us calculate.
fn verify_rsa(
    certificate: &[u8],
    data: &[u8],
    signature: &[u8],
    hash: HashAlgorithm,
) -> Result<(), CryptoError> {
    let parameters = match hash {
        HashAlgorithm::SHA256 => &RSA_PKCS1_2048_8192_SHA256,
        HashAlgorithm::SHA384 => &RSA_PKCS1_2048_8192_SHA384,
        hash => {
            return Err(CryptoError::UnsupportedSignaturePair {
                signature: SignatureAlgorithm::RSA,
                hash,
            });
        }
    };
    let certificate =
        Certificate::from_der(certificate).map_err(|_| CryptoError::CertificateParseFailed)?;
    let key = certificate.tbs_certificate.subject_public_key_info;
    let key = key
        .subject_public_key
        .as_bytes()
        .ok_or(CryptoError::InvalidSubjectPublicKey)?;
    UnparsedPublicKey::new(parameters, key)
        .verify(data, signature)
        .map_err(|_| CryptoError::OperationFailed(CryptoOperation::VerifySignature))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Certificates and signatures by OpenSSL, over `transcript.bin`.
    macro_rules! vector {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/vectors/rsa/", $name)).as_slice()
        };
    }

    const TRANSCRIPT: &[u8] = vector!("transcript.bin");
    const RSA: &[u8] = vector!("certificate-2048.der");
    const EC: &[u8] = vector!("certificate-p256.der");

    fn verify(
        certificate: &[u8],
        data: &[u8],
        signature: &[u8],
        hash: HashAlgorithm,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        EITHER.verify_signature(certificate, data, signature, hash, algorithm)
    }

    #[test]
    fn signatures_of_either_kind_are_believed() {
        let by_256 = vector!("signature-2048-sha256.bin");
        let by_384 = vector!("signature-2048-sha384.bin");
        let by_curve = vector!("signature-p256-sha256.bin");
        let (sha_256, sha_384) = (HashAlgorithm::SHA256, HashAlgorithm::SHA384);
        let kind = SignatureAlgorithm::RSA;
        verify(RSA, TRANSCRIPT, by_256, sha_256, kind).expect("RSA, SHA-256");
        verify(RSA, TRANSCRIPT, by_384, sha_384, kind).expect("RSA, SHA-384");
        let kind = SignatureAlgorithm::ECDSA;
        verify(EC, TRANSCRIPT, by_curve, sha_256, kind).expect("ECDSA");
    }

    #[test]
    fn whatever_is_not_the_peers_signature_is_refused() {
        let signature = vector!("signature-2048-sha256.bin");
        let (sha_256, sha_1) = (HashAlgorithm::SHA256, HashAlgorithm::SHA1);
        let kind = SignatureAlgorithm::RSA;
        let refused = |certificate, data, signature, hash, kind| {
            verify(certificate, data, signature, hash, kind).expect_err("refused")
        };
        // 1: of another transcript, in another form, or nothing at all.
        refused(RSA, b"something else", signature, sha_256, kind);
        refused(RSA, TRANSCRIPT, &signature[1..], sha_256, kind);
        refused(RSA, TRANSCRIPT, b"", sha_256, kind);
        // 2: of a key of the other kind.
        refused(EC, TRANSCRIPT, signature, sha_256, kind);
        refused(
            RSA,
            TRANSCRIPT,
            signature,
            sha_256,
            SignatureAlgorithm::ECDSA,
        );
        // 3: by a hash that is broken, though it is not what fails here.
        let error = refused(RSA, TRANSCRIPT, signature, sha_1, kind);
        assert!(matches!(
            error,
            CryptoError::UnsupportedSignaturePair { .. }
        ));
        // 4: of a key that is too short, right as it is.
        let short = vector!("certificate-1024.der");
        let signature = vector!("signature-1024-sha256.bin");
        refused(short, TRANSCRIPT, signature, sha_256, kind);
        // 5: of what is no certificate.
        let error = refused(b"0\x82", TRANSCRIPT, signature, sha_256, kind);
        assert!(matches!(error, CryptoError::CertificateParseFailed));
    }
}
