//! Certificates for tests of TLS, made anew in each run.

use core::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::time::SystemTime;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority that signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate in PEM, the root to trust.
    pub root: String,
}

/// A certificate and its private key, both in PEM.
pub struct Certificate {
    /// The certificate.
    pub chain: String,
    /// The private key.
    pub key: String,
}

/// The days from now on which a certificate begins and ceases to be valid.
#[derive(Clone, Copy, Debug)]
pub struct Days(pub i64, pub i64);

impl Days {
    /// Yesterday to tomorrow.
    pub const NOW: Self = Self(-1, 1);
    /// It ceased to be valid yesterday.
    pub const PAST: Self = Self(-2, -1);
    /// It begins to be valid tomorrow.
    pub const FUTURE: Self = Self(1, 2);
}

impl Authority {
    /// Creates an authority with a key of its own.
    ///
    /// # Panics
    ///
    /// There is no randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Authorities are told apart by their names.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// Issues a certificate for a host.
    ///
    /// # Panics
    ///
    /// There is no randomness, or `host` is no name.
    #[must_use]
    pub fn issue(&self, host: &str, days: Days) -> Certificate {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (day(days.0).into(), day(days.1).into());
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certificate { chain, key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn day(from_now: i64) -> SystemTime {
    let distance = Duration::from_secs(from_now.unsigned_abs() * 86_400);
    if from_now < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
}
