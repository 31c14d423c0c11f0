//! Settings of clients and servers that trust a test's own authority.

use std::sync::Arc;

use ws_std::{
    ClientTls, ServerTls,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};
use ws_tests::{Authority, Certificate, Days};

/// Returns a certificate for the server of most tests.
pub(crate) fn identity(authority: &Authority) -> Certificate {
    authority.issue("localhost", Days::NOW)
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.root.as_bytes()).unwrap()).unwrap();
    roots
}

/// Returns a client that trusts this authority alone.
pub(crate) fn client(authority: &Authority) -> ClientTls {
    ClientTls::builder().add_roots(&authority.root).unwrap().only_added_roots().build().unwrap()
}

/// Returns a client that offers these protocols by ALPN and these versions.
pub(crate) fn client_with(
    authority: &Authority,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientTls {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots(authority)).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config).into()
}

pub(crate) fn server_with(identity: &Certificate) -> ServerTls {
    ServerTls::new(&identity.chain, &identity.key).unwrap()
}

/// Returns a server that [`client`] trusts.
pub(crate) fn server(authority: &Authority) -> ServerTls {
    server_with(&identity(authority))
}

/// Returns a server that wants a certificate of this authority from its clients.
pub(crate) fn demanding_server(authority: &Authority) -> ServerTls {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority).into(), Arc::clone(&provider));
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_client_cert_verifier(verifier.build().unwrap());
    let identity = identity(authority);
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    Arc::new(builder.with_single_cert(chain, key).unwrap()).into()
}

/// Returns a server that accepts the protocol `h2` alone.
pub(crate) fn http2_server(authority: &Authority) -> ServerTls {
    let mut config = ServerConfig::clone(&server(authority).config());
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config).into()
}
