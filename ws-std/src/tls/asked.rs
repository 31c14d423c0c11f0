//! The name by which a client asks for a server.

use std::sync::{Arc, OnceLock};

use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Chooses a server's certificate as another one does, and keeps the name for which it is chosen.
#[derive(Debug)]
pub(super) struct AskedName {
    resolver: Arc<dyn ResolvesServerCert>,
    name: OnceLock<Box<str>>,
}

impl AskedName {
    /// Returns the settings for one connection, with the place where its name will be.
    pub(super) fn of(config: &ServerConfig) -> (ServerConfig, Arc<Self>) {
        let asked = Arc::new(Self { resolver: Arc::clone(&config.cert_resolver), name: OnceLock::new() });
        let mut config = config.clone();
        config.cert_resolver = Arc::<Self>::clone(&asked);
        // Whoever has seen early data can send it again (RFC 8446 section 8).
        config.max_early_data_size = 0;
        (config, asked)
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.get().map(|name| &**name)
    }
}

impl ResolvesServerCert for AskedName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            self.name.get_or_init(|| name.into());
        }
        self.resolver.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.resolver.only_raw_public_keys()
    }
}
