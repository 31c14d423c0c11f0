//! The hosts and origins from which the hub can be used.
//!
//! A page of another site must not use a hub on the loopback interface. It is not enough to compare Origin with Host:
//! the name of the other site may resolve to this machine (DNS rebinding), and then both fields name that site. So both
//! have to be known here.

use std::{error::Error, net::IpAddr};

use url::{Host, Position, Url};
use ws_std::Exchange;

pub(crate) struct Admission {
    bound: IpAddr,
    origins: Vec<Url>,
}

impl Admission {
    /// Admits this machine's loopback names and addresses, `bound`, and the hosts and pages of `origins`.
    pub(crate) fn new(bound: IpAddr, origins: &[String]) -> Result<Self, Box<dyn Error>> {
        let origins = origins.iter().map(|text| match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
            _ => Err(format!("--origin {text:?} is no URL of a page")),
        });
        Ok(Self { bound, origins: origins.collect::<Result<_, _>>()? })
    }

    /// Checks that a request is for a known host and comes from a page of the same host or a known one. A request of
    /// HTTP/1.0 without a host is admitted: health checks of proxies send such requests, browsers do not.
    ///
    /// # Errors
    ///
    /// The reason for the refusal, for the log.
    pub(crate) fn check(&self, exchange: &Exchange) -> Result<(), String> {
        let (host, origin) = (exchange.host(), exchange.origin());
        let from_here = origin.is_none_or(|origin| self.is_own_page(host, origin));
        if (host.is_empty() || self.is_own_host(host)) && from_here {
            return Ok(());
        }
        let origin = origin.unwrap_or("none");
        Err(format!("refused: host {host}, origin {origin}; --origin URL admits others"))
    }

    fn is_own_host(&self, host: &str) -> bool {
        let Ok(url) = Url::parse(&format!("http://{host}/")) else {
            return false;
        };
        let is_near = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback() || IpAddr::V4(address) == self.bound,
            Some(Host::Ipv6(address)) => address.is_loopback() || IpAddr::V6(address) == self.bound,
            None => false,
        };
        is_near || self.origins.iter().any(|known| is_host_of(known, host))
    }

    fn is_own_page(&self, host: &str, origin: &str) -> bool {
        let is_same = Url::parse(origin).is_ok_and(|url| is_host_of(&url, host));
        is_same || self.origins.iter().any(|known| known.origin().ascii_serialization() == origin)
    }
}

/// Returns whether `host`, a value of the field Host, is that of a URL, including the port.
fn is_host_of(url: &Url, host: &str) -> bool {
    url[Position::BeforeHost..Position::AfterPort].eq_ignore_ascii_case(host)
}
