//! `klikon call`: phones a SIP address, keys digits, says what was heard and when.

use crate::call::load::LoadSettings;
use crate::call::{KeyGroup, Manner, Notice, Phone, PhoneError, PhoneSettings};
use crate::config::Settings;
use crate::net::{NameServer, Resolver};
use crate::sdp::{Codecs, RedundancyPolicy};
use crate::sip::Transport;
use crate::sip::locate::{Target, fails_over};
use crate::sip::message::Uri;
use crate::units::clock::{Clock, entropy};
use crate::units::rtp::Encoding;
use anyhow::{Context, bail, ensure};
use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Phone a SIP address: a smoke test of a live deployment.
///
/// It listens as a person does: each group of keys goes out when something new is being said. Exits with 0 when the
/// call was answered, everything was keyed, everything expected was heard, and the call ended in good order.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  klikon call sip:130@192.0.2.10 --identity +355691234567 --keys '0672123456#' --keys 2 --keys 1 --wav heard.wav
  klikon call sip:130@127.0.0.1:5060 --identity tel:+355691234567 --keys 9 --expect goodbye
  klikon call sip:131@192.0.2.10 --hang-up-after-s 10
  klikon call 'sip:130@192.0.2.10;transport=tcp' --keys 9
  klikon call sips:130@klikon.example --tls-ca ca.pem --keys 9 --srtp
  klikon call 'sip:130@192.0.2.10:8080;transport=ws' --keys 9
  klikon call sip:130@example.com --resolver 192.0.2.53 --keys 9
  klikon call sip:131@192.0.2.10 --rate 50 --calls 3000 --hold 10

Keys: 0-9 * # A-D, or PROMPT:KEYS to wait for that prompt first (`klikon prompts list` names them). Prompts are recognised by their sound, octet for octet, where nothing between transcodes; else
only that something was said is known.")]
pub struct Arguments {
    /// Where to: `sip:130@host` or `sip:130@host:port`, over TCP with `;transport=tcp`, over TLS with `sips:`, over
    /// WebSocket with `;transport=ws` or `;transport=wss`.
    #[arg(value_name = "SIP-URI")]
    uri: String,

    /// Keys, sent when something new is being said, or when that prompt is; repeat it for each prompt to be answered.
    #[arg(long, value_name = "[PROMPT:]KEYS", value_parser = key_group)]
    keys: Vec<KeyGroup>,

    /// Offer no telephone-event, and key with tones in the audio.
    #[arg(long)]
    in_band: bool,

    /// Repeat keys in those that follow, where the far end agrees (RFC 2198).
    #[arg(long, conflicts_with = "in_band")]
    redundancy: bool,

    /// Who calls, in P-Asserted-Identity: a number or a `sip:` or `tel:` URI.
    #[arg(long, value_name = "NUMBER|URI")]
    identity: Option<String>,

    /// The From URI; without it an anonymous one, or the identity.
    #[arg(long, value_name = "SIP-URI")]
    from: Option<String>,

    /// Let each prompt run out before keying, instead of barging in.
    #[arg(long)]
    listen: bool,

    /// How much of a prompt is heard before the keys barge in, ms.
    #[arg(long, value_name = "MS", default_value_t = 1200, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    barge_in_after_ms: u64,

    /// Fail unless this prompt was heard; repeatable.
    #[arg(long, value_name = "PROMPT")]
    expect: Vec<String>,

    /// Which DNS says where a name leads: `system`, or a server's address; without it, as `sip.resolver` says.
    #[arg(long, value_name = "ADDRESS")]
    resolver: Option<NameServer>,

    /// Hang up so long after the answer, s; without it, when the far end says goodbye or hangs up.
    #[arg(long, value_name = "S")]
    hang_up_after_s: Option<u64>,

    /// Ask for a session timer of this interval (RFC 4028), s; 0 asks for none.
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    session_expires_s: u32,

    /// Give up after so long, s.
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout_s: u64,

    /// With TLS: whose certificates of servers are believed, PEM; without it, as `tls.server_ca` says.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// Codecs to offer, by their names in session descriptions, the preferred one first.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = codec, default_values = ["PCMA", "PCMU"])]
    codecs: Vec<Encoding>,

    /// Encrypt the media (SRTP); over TLS only, since its keys stand in the session description.
    #[arg(long)]
    srtp: bool,

    /// Write what was heard.
    #[arg(long, value_name = "FILE")]
    wav: Option<PathBuf>,

    /// Make many calls, so many begun a second: signalling only, nothing is heard or keyed. Says what was answered, what
    /// failed, and how long it took; exits with 0 when every call was answered and ended in good order.
    #[arg(long, value_name = "R", requires = "calls", value_parser = rate, conflicts_with_all = ["keys", "in_band", "redundancy", "srtp", "listen", "expect", "hang_up_after_s", "wav", "session_expires_s"])]
    rate: Option<f64>,

    /// With --rate: how many calls.
    #[arg(long, value_name = "N", requires = "rate", value_parser = clap::value_parser!(u64).range(1..))]
    calls: Option<u64>,

    /// With --rate: from the answer to the hang-up, s.
    #[arg(long, value_name = "S", requires = "rate", value_parser = hold, default_value = "0")]
    hold: Duration,
}

/// Calls a second: above nothing, and no more than one machine can make.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 100_000.0 => Ok(rate),
        _ => Err("write calls a second, from above 0 to 100000, like 50 or 0.5".to_owned()),
    }
}

/// A codec that this build can encode.
fn codec(text: &str) -> Result<Encoding, String> {
    let known = || Encoding::ALL.into_iter().filter(|encoding| encoding.is_built());
    Encoding::named(text).filter(|encoding| encoding.is_built()).ok_or_else(|| {
        format!("this build has {}", known().map(Encoding::name).collect::<Vec<_>>().join(", "))
    })
}

fn hold(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("write seconds, from 0 to 86400, like 10 or 0.2".to_owned()),
    }
}

/// Reads a group of keys: `2`, or `choose-package:2`.
pub(super) fn key_group(text: &str) -> Result<KeyGroup, String> {
    match text.rsplit_once(':') {
        Some(("", _)) => Err("no prompt before the `:`; write it like choose-package:2".to_owned()),
        Some((prompt, text)) => Ok(KeyGroup { prompt: Some(prompt.to_owned()), keys: keys(text)? }),
        None => Ok(KeyGroup { prompt: None, keys: keys(text)? }),
    }
}

fn keys(text: &str) -> Result<String, String> {
    let keys: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | ',')).collect();
    match keys.chars().find(|c| !matches!(c, '0'..='9' | '*' | '#' | 'A'..='D')) {
        Some(other) => Err(format!("`{other}` is no key; use 0-9 * # A-D")),
        None if keys.is_empty() => Err("no key in it; use 0-9 * # A-D".to_owned()),
        None => Ok(keys),
    }
}

/// Phones, and judges.
pub fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<()> {
    super::start_logging(&crate::config::Log { level: "warn".to_owned(), ..settings.log.clone() });
    let server = arguments.resolver.unwrap_or(settings.sip.resolver);
    if let (Some(rate), Some(calls)) = (arguments.rate, arguments.calls) {
        let load = |target: Target| LoadSettings {
            remote: target.address,
            transport: target.transport,
            server_ca: arguments.tls_ca.clone().or_else(|| settings.tls.server_ca.clone()),
            request_uri: arguments.uri.clone(),
            identity: arguments.identity.as_deref().map(identity),
            from: arguments.from.clone(),
            rate,
            calls,
            hold: arguments.hold,
        };
        return super::runtime()?.block_on(async {
            // A load is for one server: the first.
            let target = resolve(&arguments.uri, server, &Transport::ALL).await?.into_iter().next();
            super::load::run(load(target.context("there is no server to try")?)).await
        });
    }
    let phone = |target: &Target| PhoneSettings {
        remote: target.address,
        transport: target.transport,
        server_ca: arguments.tls_ca.clone().or_else(|| settings.tls.server_ca.clone()),
        request_uri: arguments.uri.clone(),
        identity: arguments.identity.as_deref().map(identity),
        from: arguments.from.clone(),
        session_expires_s: arguments.session_expires_s,
        in_band: arguments.in_band,
        redundancy: redundancy(arguments.redundancy),
        srtp: arguments.srtp,
        codecs: Codecs::new(arguments.codecs.clone()),
        keys: arguments.keys.clone(),
        manner: manner(arguments.listen, arguments.barge_in_after_ms),
        hang_up_on: vec!["goodbye".to_owned()],
        hang_up_after: arguments.hang_up_after_s.map(Duration::from_secs),
        timeout: Duration::from_secs(arguments.timeout_s),
    };
    let report = super::runtime()?.block_on(async {
        // Without prompts at hand the call still works; only their names are not known.
        let codecs = Codecs::new(arguments.codecs.clone());
        let prompts = crate::server::encode_prompts(&settings.files, &codecs).ok().unwrap_or_default();
        let mut targets = resolve(&arguments.uri, server, &Transport::ALL).await?.into_iter().peekable();
        loop {
            let target = targets.next().context("there is no server to try")?;
            let remote = target.address;
            if arguments.srtp && !target.transport.is_secure() {
                bail!("{} would send the keys of --srtp for all to read; phone a sips: URI, or add ;transport=tls", target.transport.via_name());
            }
            let call = Phone::new(phone(&target), Arc::clone(&prompts), Clock::system())?.call(print).await;
            match call {
                Err(error) if targets.peek().is_some() && leaves(&error) => {
                    println!("{remote}: {error}; trying the next server");
                }
                call => return Ok::<_, anyhow::Error>(call?),
            }
        }
    })?;
    println!("{report}");
    if let Some(path) = &arguments.wav {
        report.recording.write_wav(path).with_context(|| format!("cannot write {}", path.display()))?;
        println!("what was heard: {}", path.display());
    }
    if let Some(missing) = arguments.expect.iter().find(|id| !report.heard_clip(id)) {
        bail!("`{missing}` was not heard");
    }
    if !report.keyed_everything {
        bail!("the call ended before everything was keyed");
    }
    if !report.heard_speech() {
        bail!("nothing was heard: no RTP, or only silence");
    }
    Ok(())
}

/// Whether the caller repeats his keys.
fn redundancy(is_wanted: bool) -> RedundancyPolicy {
    if is_wanted { RedundancyPolicy::Offered } else { RedundancyPolicy::default() }
}

/// How the caller keys.
pub(super) fn manner(listen: bool, barge_in_after_ms: u64) -> Manner {
    if listen {
        Manner::Listen { silence: Duration::from_millis(900) }
    } else {
        Manner::BargeIn { after: Duration::from_millis(barge_in_after_ms) }
    }
}

fn print(at: Duration, notice: &Notice) {
    println!("{:7.2} s  {notice}", at.as_secs_f64());
}

/// A number becomes a `tel:` URI.
fn identity(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { format!("tel:{text}") }
}

/// Whether the next server is tried (RFC 3263 §4.3).
fn leaves(error: &PhoneError) -> bool {
    match error {
        PhoneError::Refused { status, .. } => fails_over(*status),
        PhoneError::Unreachable(_) => true,
        _ => false,
    }
}

/// Where to send to, in the order in which it is to be tried (RFC 3263).
async fn resolve(uri: &str, server: NameServer, usable: &[Transport]) -> anyhow::Result<Vec<Target>> {
    let mend = "write it like sip:130@192.0.2.10:5060";
    let has_number = matches!(Uri::parse(uri.as_bytes()), Some(Uri::Sip(sip)) if sip.user.is_some());
    ensure!(has_number, "`{uri}` is no SIP URI with a number; {mend}");
    let mut random = StdRng::from_seed(entropy());
    let resolver = Resolver::new(server).context("cannot ask the DNS; name a server with --resolver")?;
    let targets = resolver.locate(uri, usable, &mut random).await;
    targets.with_context(|| format!("cannot find the host of `{uri}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_with_and_without_port() {
        let nobody = NameServer::At("127.0.0.1:9".parse().unwrap());
        for (uri, address) in [
            ("sip:130@127.0.0.1", "udp 127.0.0.1:5060"),
            ("sip:130@127.0.0.1:5080;transport=udp", "udp 127.0.0.1:5080"),
            ("sip:130@[::1]", "udp [::1]:5060"),
            ("sip:130@[::1]:5080", "udp [::1]:5080"),
            ("sip:130@127.0.0.1;transport=tcp", "tcp 127.0.0.1:5060"),
            ("sip:130@127.0.0.1;transport=tls", "tls 127.0.0.1:5061"),
            ("sips:130@127.0.0.1", "tls 127.0.0.1:5061"),
            ("sip:130@127.0.0.1:8080;transport=ws", "ws 127.0.0.1:8080"),
            ("sip:130@127.0.0.1;transport=wss", "wss 127.0.0.1:443"),
            ("sips:130@127.0.0.1;transport=ws", "wss 127.0.0.1:443"),
        ] {
            let targets = resolve(uri, nobody, &Transport::ALL).await.unwrap();
            let found = targets.iter().map(|target| {
                format!("{} {}", target.transport.via_name().to_ascii_lowercase(), target.address)
            });
            assert_eq!(found.collect::<Vec<_>>(), [address], "{uri}");
        }
        for bad in
            ["130@127.0.0.1", "sip:127.0.0.1", "sip:130@", "tel:130", "sip:130@127.0.0.1;transport=sctp"]
        {
            assert!(resolve(bad, nobody, &Transport::ALL).await.is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_keys() {
        assert_eq!(keys("067 212 3456#").as_deref(), Ok("0672123456#"));
        assert_eq!(keys("06x"), Err("`x` is no key; use 0-9 * # A-D".to_owned()));
        assert!(keys("").is_err());
        let group = key_group("choose-package:2").unwrap();
        assert_eq!((group.prompt.as_deref(), group.keys.as_str()), (Some("choose-package"), "2"));
        assert!(key_group(":2").is_err() && key_group("welcome:").is_err());
        assert_eq!(identity("+355691234567"), "tel:+355691234567");
        assert_eq!(identity("sip:a@b"), "sip:a@b");
    }
}
