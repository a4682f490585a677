//! What a client's certificate says, for policies: facts, no judgement. Whoever
//! terminates TLS has verified the chain before (RFC 5280, section 6).

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The most alternative names of a certificate; more are a mistake or an attack.
const MAX_NAMES: usize = 256;

/// What a client's certificate says about its holder. It is public: the client
/// shows it to everyone that it connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its holder, as RFC 4514 writes it: `CN=orders,O=Example`.
    pub subject: String,
    /// Who vouches for it, as RFC 4514 writes it.
    pub issuer: String,
    /// Its number, unique for its issuer, in lower-case hexadecimal.
    pub serial: String,
    /// The DNS names in its subjectAltName.
    pub dns_names: Vec<String>,
    /// The URIs in its subjectAltName, SPIFFE identities among them.
    pub uris: Vec<String>,
    /// The SHA-256 of the certificate's DER, in lower-case hexadecimal.
    pub sha256: String,
    /// When its validity begins, in milliseconds since 1970-01-01T00:00:00Z.
    pub not_before: u64,
    /// When its validity ends, in milliseconds since 1970-01-01T00:00:00Z.
    pub not_after: u64,
}

/// The bytes are no certificate of X.509 that can be shown in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate can't be read")]
pub struct UnreadableCertificate;

impl ClientCertificate {
    /// Reads a certificate in DER. It isn't verified here.
    ///
    /// Errors: it can't be decoded, holds an extension twice, or more than 256
    /// names.
    pub fn from_der(der: &[u8]) -> Result<Self, UnreadableCertificate> {
        let certificate = Certificate::from_der(der).map_err(|_| UnreadableCertificate)?;
        let facts = certificate.tbs_certificate();
        let names = facts
            .get_extension::<SubjectAltName>()
            .map_err(|_| UnreadableCertificate)?
            .map(|(_, names)| names.0)
            .unwrap_or_default();
        if names.len() > MAX_NAMES {
            return Err(UnreadableCertificate);
        }
        let (mut dns_names, mut uris) = (Vec::new(), Vec::new());
        for name in &names {
            match name {
                GeneralName::DnsName(name) => dns_names.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => uris.push(uri.to_string()),
                _ => {}
            }
        }
        let milliseconds = |time: x509_cert::time::Time| {
            u64::try_from(time.to_unix_duration().as_millis()).unwrap_or(u64::MAX)
        };
        let validity = facts.validity();
        Ok(Self {
            subject: facts.subject().to_string(),
            issuer: facts.issuer().to_string(),
            serial: HEXLOWER.encode(facts.serial_number().as_bytes()),
            dns_names,
            uris,
            sha256: HEXLOWER.encode(digest(&SHA256, der).as_ref()),
            not_before: milliseconds(validity.not_before),
            not_after: milliseconds(validity.not_after),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber, date_time_ymd};

    #[test]
    fn a_certificate_says_whose_it_is_by_whom_and_until_when() {
        let mut params = CertificateParams::new(vec!["orders.example".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "orders, \"the\" service");
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example");
        params.subject_alt_names.push(SanType::URI(
            "spiffe://example/orders".to_owned().try_into().unwrap(),
        ));
        params.serial_number = Some(SerialNumber::from_slice(&[0x01, 0xab]));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let facts = ClientCertificate::from_der(certificate.der()).unwrap();
        // RFC 4514, 2.1: the last name first; 2.4: what would end it is escaped.
        assert!(
            facts.subject.contains("CN=orders\\, \\\"the\\\" service"),
            "{}",
            facts.subject
        );
        assert!(facts.subject.contains("O=Example"), "{}", facts.subject);
        assert_eq!(facts.issuer, facts.subject);
        assert_eq!(facts.serial, "01ab");
        assert_eq!(facts.dns_names, ["orders.example"]);
        assert_eq!(facts.uris, ["spiffe://example/orders"]);
        assert_eq!(facts.sha256.len(), 64);
        assert_eq!(facts.not_before, 1_577_836_800_000);
        assert_eq!(facts.not_after, 2_208_988_800_000);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        assert!(ClientCertificate::from_der(&der).is_ok());
        for length in [0, 1, der.len() / 2, der.len() - 1] {
            let part = der.get(..length).unwrap();
            assert_eq!(
                ClientCertificate::from_der(part),
                Err(UnreadableCertificate)
            );
        }
        let longer = [&der[..], &[0]].concat();
        assert_eq!(
            ClientCertificate::from_der(&longer),
            Err(UnreadableCertificate)
        );
    }
}
