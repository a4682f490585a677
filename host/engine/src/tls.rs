//! What is known of the TLS connection over which a client's request came. Plain
//! data: whoever terminates TLS fills it in.

use keyward_vault::ClientCertificate;

/// The facts of a client's TLS connection, verified by whoever terminated it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The version, such as `TLSv1.3`.
    pub version: &'static str,
    /// The server name that the client asked for (RFC 6066, section 3), in lower
    /// case; none if it asked for none.
    pub server_name: Option<String>,
    /// The protocol that was agreed on (RFC 7301): `h2`, `http/1.1`; none if
    /// none was.
    pub alpn: Option<&'static str>,
    /// The client's certificate, verified; none if the client showed none.
    pub certificate: Option<ClientCertificate>,
}
