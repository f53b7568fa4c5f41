//! An MQTT broker that hears of events.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use detection_schema::EventRecord;
use rumqttc::{
    Client, Connection, Event, LastWill, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration,
    Transport,
};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use url::Url;

use super::{Ending, Listener, Problems, note};

/// First and longest wait before a lost broker is looked for again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often it is looked whether the stream is over.
const PAUSE: Duration = Duration::from_millis(100);
/// What of the client's waits to be sent: an event, and what is said of the program.
const REQUESTS: usize = 4;

/// A topic of a broker that events are published on, at quality of service 1: each arrives at least once. On
/// `TOPIC/status` the broker keeps `online` or `offline`.
pub(super) struct Broker {
    client: Client,
    topic: String,
    limit: Duration,
    link: Arc<Link>,
    /// Nobody answered when the stream was over.
    gone: bool,
}

/// What the thread that keeps the connection tells.
#[derive(Default)]
struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Connections so far.
    connections: u64,
    connected: bool,
    /// Events that the broker has acknowledged.
    acknowledged: u64,
    /// Nobody needs the connection any more.
    closing: bool,
    closed: bool,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Broker {
    /// Connects to `mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC`, with `mqtts` over TLS; after the stream's end it
    /// is waited for no longer than `limit`.
    ///
    /// # Errors
    /// If the address is not of this form.
    pub(super) fn new(address: &str, limit: Duration, problems: &Problems) -> anyhow::Result<Self> {
        let (options, topic) = parse(address)?;
        let shown = options.broker_address().0;
        let (client, connection) = Client::new(options, REQUESTS);
        let link = Arc::new(Link::default());
        let keeper = Keeper {
            client: client.clone(),
            status: status_of(&topic),
            broker: shown,
            link: Arc::clone(&link),
            problems: Arc::clone(problems),
        };
        thread::spawn(move || keeper.keep(connection));
        Ok(Self { client, topic, limit, link, gone: false })
    }
}

fn status_of(topic: &str) -> String {
    format!("{topic}/status")
}

/// A broker's address, without what is secret in it in any error.
fn parse(address: &str) -> anyhow::Result<(MqttOptions, String)> {
    let form = "--mqtt: give mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC, or mqtts:// for TLS";
    let url = Url::parse(address).context(form)?;
    let (port, secure) = match url.scheme() {
        "mqtt" => (1883, false),
        "mqtts" => (8883, true),
        _ => anyhow::bail!(form),
    };
    let topic = decoded(url.path().trim_start_matches('/'));
    let host = url.host_str().context(form)?;
    ensure!(!topic.is_empty() && !topic.contains(['+', '#']), form);
    // Brokers end the older of two connections of the same name.
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let name = format!("mask-{:x}-{nanos:x}", std::process::id());
    let mut options = MqttOptions::new(name, host, url.port().unwrap_or(port));
    options.set_keep_alive(Duration::from_secs(15));
    options.set_last_will(LastWill::new(status_of(&topic), "offline", QoS::AtMostOnce, true));
    if !url.username().is_empty() {
        options
            .set_credentials(decoded(url.username()), decoded(url.password().unwrap_or_default()));
    }
    if secure {
        options
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls()?))));
    }
    Ok((options, topic))
}

/// With the certificates that the machine trusts.
fn tls() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier().context("--mqtt")?.with_no_client_auth())
}

/// A part of an address with its `%` signs resolved.
fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

impl Listener for Broker {
    const ARGUMENT: &'static str = "--mqtt";

    fn tell(&mut self, event: &EventRecord, ending: &Ending) -> Result<(), String> {
        if self.gone {
            return Err("dropped, for the broker does not answer".to_owned());
        }
        let json = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let (mut deadline, mut published) = (None, 0);
        let mut state = self.link.state();
        let before = state.acknowledged;
        while state.acknowledged == before {
            // What a lost connection had not acknowledged, rumqttc forgets with it.
            if state.connected && state.connections != published {
                published = state.connections;
                let sent = self.client.try_publish(&self.topic, QoS::AtLeastOnce, false, &*json);
                sent.map_err(|error| error.to_string())?;
            }
            state = self.link.wait(state, PAUSE);
            if ending.wait(Duration::ZERO)
                && *deadline.get_or_insert_with(|| Instant::now() + self.limit) < Instant::now()
            {
                self.gone = true;
                return Err(format!("not acknowledged within {} s", self.limit.as_secs_f64()));
            }
        }
        Ok(())
    }

    fn finish(self) {
        self.link.change(|state| state.closing = true);
        if self.link.state().connected {
            // Whoever is not there any more need not hear of it.
            let _ =
                self.client.try_publish(status_of(&self.topic), QoS::AtMostOnce, true, "offline");
            let _ = self.client.try_disconnect();
            let until = Instant::now() + Duration::from_secs(1);
            let mut state = self.link.state();
            while !state.closed && Instant::now() < until {
                state = self.link.wait(state, PAUSE);
            }
        }
    }
}

/// Keeps the connection to a broker.
struct Keeper {
    client: Client,
    /// The topic of the program's state.
    status: String,
    /// The broker, as it is shown.
    broker: String,
    link: Arc<Link>,
    problems: Problems,
}

impl Keeper {
    /// Until it is closed; a broker that is lost is looked for again.
    fn keep(self, mut connection: Connection) {
        let (mut failing, mut pause) = (false, RETRY.0);
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if failing {
                        note(&self.problems, format!("--mqtt: {}: back", self.broker));
                    }
                    (failing, pause) = (false, RETRY.0);
                    // It is said before any event, and again with the next connection.
                    let _ = self.client.try_publish(&self.status, QoS::AtMostOnce, true, "online");
                    self.link.change(|state| {
                        state.connected = true;
                        state.connections += 1;
                    });
                }
                Ok(Event::Incoming(Packet::PubAck(_))) => {
                    self.link.change(|state| state.acknowledged += 1);
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => break,
                Ok(_) => {}
                Err(error) => {
                    self.link.change(|state| state.connected = false);
                    if self.link.state().closing {
                        break;
                    }
                    if !failing {
                        let line = format!("--mqtt: {}: {error}; trying again", self.broker);
                        note(&self.problems, line);
                    }
                    failing = true;
                    thread::sleep(pause);
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
        self.link.change(|state| state.closed = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_broker_and_topic() {
        let (options, topic) = parse("mqtts://me:s%40cret@broker/masks/door%201").unwrap();
        assert_eq!(options.broker_address(), ("broker".to_owned(), 8883));
        assert_eq!(topic, "masks/door 1");
        let login = options.credentials().unwrap();
        assert_eq!((&*login.username, &*login.password), ("me", "s@cret"));
        assert_eq!(parse("mqtt://[::1]:1999/a").unwrap().0.broker_address().1, 1999);
        for wrong in ["broker/a", "http://broker/a", "mqtt://me:secret@broker", "mqtt://b/a/%23"] {
            let error = format!("{:#}", parse(wrong).unwrap_err());
            assert!(error.contains("give mqtt://") && !error.contains("secret"), "{error}");
        }
    }
}
