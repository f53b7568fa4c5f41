//! A web address that hears of events by POST.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use detection_schema::EventRecord;
use rustls::crypto::ring;
use ureq::{
    Agent,
    http::StatusCode,
    tls::{RootCerts, TlsConfig},
};
use url::Url;

use super::{Ending, Listener};

/// How often an event is sent before it is given up.
const TRIES: u32 = 5;
/// Time between the first and the second; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// An address that events are sent to.
pub(super) struct Webhook {
    address: String,
    agent: Agent,
    limit: Duration,
    /// Nobody answered when the stream was over.
    gone: bool,
}

impl Webhook {
    /// Sends to `address`, for no longer than `limit` a try.
    ///
    /// # Errors
    /// If it is no address of the web.
    pub(super) fn new(address: &str, limit: Duration) -> anyhow::Result<Self> {
        let url = Url::parse(address).with_context(|| format!("--webhook {address}"))?;
        anyhow::ensure!(
            matches!(url.scheme(), "http" | "https"),
            "--webhook {address}: give an address that begins with http:// or https://"
        );
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(limit))
            .user_agent(concat!("mask-cli/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false);
        let agent = config.build().new_agent();
        Ok(Self { address: address.to_owned(), agent, limit, gone: false })
    }

    /// Sends once; whether it makes sense to try again, and what was wrong.
    fn send(&self, json: &str) -> Result<(), (bool, String)> {
        let request = self.agent.post(&self.address).content_type("application/json");
        match request.send(json) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
                Err((
                    status.is_server_error() || busy.contains(&status),
                    format!("status {status}"),
                ))
            }
            Err(ureq::Error::Timeout(_)) => {
                Err((true, format!("no answer within {} s", self.limit.as_secs_f64())))
            }
            Err(error) => Err((true, error.to_string())),
        }
    }
}

impl Listener for Webhook {
    const ARGUMENT: &'static str = "--webhook";

    fn tell(&mut self, event: &EventRecord, ending: &Ending) -> Result<(), String> {
        if self.gone {
            return Err("dropped, for nobody answers".to_owned());
        }
        let json = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let mut pause = FIRST_PAUSE;
        for tries in 1.. {
            match self.send(&json) {
                Ok(()) => return Ok(()),
                Err((again, reason)) => {
                    // Once the stream is over, nobody is waited for more than once.
                    let over =
                        ending.wait(if again && tries < TRIES { pause } else { Duration::ZERO });
                    self.gone = over && again;
                    if over || !again || tries == TRIES {
                        let times =
                            if tries == 1 { "once".into() } else { format!("{tries} times") };
                        return Err(format!("{reason}, tried {times}"));
                    }
                }
            }
            pause *= 2;
        }
        Ok(())
    }

    fn finish(self) {}
}
