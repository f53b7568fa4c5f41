//! Images that a request only names the addresses of, where that is allowed: none of this machine or its networks,
//! which the sender may not reach.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Bytes, http::Uri};
use rustls::crypto::ring;
use ureq::{
    Agent, Error,
    config::Config,
    tls::{RootCerts, TlsConfig},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use crate::problem::Problem;

/// How often an answer may name another address.
const REDIRECTS: u32 = 3;

/// Fetches images.
pub(crate) struct Fetcher {
    agent: Agent,
}

impl Fetcher {
    /// From public addresses alone.
    pub(crate) fn new() -> Self {
        Self::from(is_public)
    }

    fn from(allowed: fn(IpAddr) -> bool) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            // What a proxy may reach is not known here.
            .proxy(None)
            .max_redirects(REDIRECTS)
            .user_agent(concat!("mask-server/", env!("CARGO_PKG_VERSION")));
        let resolver = Allowed { all: DefaultResolver::default(), allowed };
        Self { agent: Agent::with_parts(config.build(), DefaultConnector::new(), resolver) }
    }

    /// The bytes at an address, no more than `most`. Blocks.
    ///
    /// # Errors
    /// If it may not be asked, or does not answer with them in time.
    pub(crate) fn fetch(
        &self,
        url: &str,
        most: usize,
        deadline: Instant,
    ) -> Result<Bytes, Problem> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let failed = |error: Error| Problem::bad_request(format!("{url}: {}", reason(&error)));
        let request = self.agent.get(url).config().timeout_global(Some(left)).build();
        let mut answer = request.call().map_err(failed)?;
        let body = answer.body_mut().with_config().limit(most as u64);
        Ok(body.read_to_vec().map_err(failed)?.into())
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::Other(reason) => reason.to_string(),
        Error::BodyExceedsLimit(most) => format!("more than {most} bytes"),
        error => error.to_string(),
    }
}

/// Only resolves what may be asked; what is connected to is what was looked at.
#[derive(Debug)]
struct Allowed {
    all: DefaultResolver,
    allowed: fn(IpAddr) -> bool,
}

impl Resolver for Allowed {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let addresses = self.all.resolve(uri, config, timeout)?;
        match addresses.iter().all(|address| (self.allowed)(address.ip())) {
            true => Ok(addresses),
            false => Err(Error::Other("its address is not a public one".into())),
        }
    }
}

/// Whether an address is one of the public internet (IANA's registries of special-purpose addresses, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Addresses that stand for others: NAT64 and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        [0x2001, 0xdb8, ..] => false,
        // Teredo and its neighbours.
        [0x2001, second, ..] if second < 0x200 => false,
        // Global unicast is 2000::/3, and documentation has a part of it, too.
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for public in ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    /// Answers each request with the next of some answers; its address.
    fn server(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for answer in answers {
                let mut connection = listener.accept().unwrap().0;
                let _ = connection.read(&mut [0; 4096]).unwrap();
                connection.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    fn answer(head: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    #[test]
    fn what_is_asked_for_comes_in_its_bounds() {
        let soon = || Instant::now() + Duration::from_secs(20);
        let fetcher = Fetcher::from(|_| true);
        let found = server(vec![answer("200 OK", "image"), answer("200 OK", "image")]);
        assert_eq!(&fetcher.fetch(&found, 5, soon()).unwrap()[..], b"image");
        let problem = fetcher.fetch(&found, 4, soon()).unwrap_err();
        assert!(problem.message.contains("more than 4 bytes"), "{problem:?}");
        let absent = server(vec![answer("404 Not Found", "")]);
        let problem = fetcher.fetch(&absent, 5, soon()).unwrap_err();
        assert!(problem.message.contains("404"), "{problem:?}");
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = format!("http://{}", silent.local_addr().unwrap());
        let problem = fetcher.fetch(&silent, 5, Instant::now()).unwrap_err();
        assert_eq!(problem.status, 400);
    }

    #[test]
    fn nobody_is_led_to_a_private_address() {
        let soon = || Instant::now() + Duration::from_secs(20);
        for url in
            ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://0x7f.1:1/"]
        {
            let problem = Fetcher::new().fetch(url, 5, soon()).unwrap_err();
            let known = ["not a public one", "host not found", "resolve", "lookup"];
            assert!(known.iter().any(|words| problem.message.contains(words)), "{problem:?}");
        }
        // Nor by an answer from elsewhere: the first address is allowed, the second is not.
        let inner = server(vec![answer("200 OK", "secret")]);
        let port = inner.rsplit(':').next().unwrap();
        let outer =
            server(vec![answer(&format!("302 Found\r\nLocation: http://127.0.0.2:{port}/"), "")]);
        let fetcher = Fetcher::from(|address| address == IpAddr::from([127, 0, 0, 1]));
        let problem = fetcher.fetch(&outer, 50, soon()).unwrap_err();
        assert!(problem.message.contains("not a public one"), "{problem:?}");
        let files = Fetcher::new().fetch("file:///etc/passwd", 50, soon()).unwrap_err();
        assert_eq!(files.status, 400);
    }
}
