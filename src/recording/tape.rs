//! One recording in time: both sides, the keys, and what of the caller may be heard. Pure: packets and instants in, samples
//! and cues out.

use super::content::{Cue, What};
use super::placing::Placing;
use super::settings::Channels;
use super::track::Track;
use crate::media::tone::{Detector, key_sample};
use crate::media::{ForkedPacket, Side};
use std::time::{Duration, Instant};

/// How long after the flow has left the last node before a secret the caller is still silence: what was on its way then has
/// come.
pub const OPENS_AFTER: Duration = Duration::from_secs(1);
/// Keys whose tones are still to be laid out; of further ones there is only the cue.
const MAX_PRESSES: usize = 64;
/// A key is held to be over after so long.
const LONGEST_PRESS: Duration = Duration::from_secs(20);

/// What of the caller's side is recorded.
#[derive(Debug)]
enum Caller {
    /// Nothing: he may key a secret.
    Withheld,
    /// Nothing yet, until that sample, and until a tone that is on then has ended.
    Opens { from: i64, detector: Box<Detector> },
    /// All.
    Heard,
}

/// A key whose tone is laid out. In samples.
#[derive(Debug)]
struct Press {
    key: char,
    from: i64,
    to: Option<i64>,
}

/// A recording that goes on.
#[derive(Debug)]
pub struct Tape {
    began: Instant,
    rate_hz: u32,
    channels: Channels,
    sent: Track,
    received: Track,
    placing: Placing,
    caller: Caller,
    /// The key that is down, since when, and whether its tone is to be made.
    down: Option<(char, Instant, bool)>,
    presses: Vec<Press>,
    cues: Vec<Cue>,
    /// Samples that were taken.
    taken: i64,
}

impl Tape {
    /// Begins. The caller's side stays silence until [`Tape::open`] where it is `withheld`.
    pub fn new(began: Instant, rate_hz: u32, channels: Channels, withheld: bool) -> Self {
        let mut tape = Self {
            began,
            rate_hz,
            channels,
            sent: Track::new(rate_hz),
            received: Track::new(rate_hz),
            placing: Placing::new(rate_hz),
            caller: if withheld { Caller::Withheld } else { Caller::Heard },
            down: None,
            presses: Vec::new(),
            cues: Vec::new(),
            taken: 0,
        };
        if withheld {
            tape.cue(began, What::CallerWithheld);
        }
        tape
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Takes a packet of either side.
    pub fn packet(&mut self, packet: ForkedPacket) {
        let at = self.place_of(packet.at);
        match packet.side {
            Side::Sent => self.sent.hold(at, packet),
            Side::Received if matches!(self.caller, Caller::Withheld) => {}
            Side::Received => {
                let clock_rate_hz = packet.encoding.clock_rate_hz();
                let place = self.placing.place(at, packet.ssrc, packet.timestamp, clock_rate_hz);
                self.received.hold(place, packet);
            }
        }
    }

    /// Notes what happened.
    pub fn cue(&mut self, at: Instant, what: What) {
        let at_ms = u64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        self.cues.push(Cue { at_ms, what });
    }

    /// No secret can be keyed any more.
    pub fn open(&mut self, at: Instant) {
        if matches!(self.caller, Caller::Withheld) {
            let from = self.place_of(at + OPENS_AFTER);
            self.caller = Caller::Opens { from, detector: Box::default() };
            self.cue(at + OPENS_AFTER, What::CallerHeard);
        }
    }

    /// A key went down. With `tone` its tone is made, since the audio may hold none.
    pub fn key_began(&mut self, at: Instant, key: char, tone: bool) {
        let from = self.place_of(at);
        let counts = match &self.caller {
            Caller::Withheld => false,
            Caller::Opens { from: opens, .. } => from >= *opens,
            Caller::Heard => true,
        };
        if !counts {
            return;
        }
        self.key_ended(at);
        self.down = Some((key, at, tone));
        if tone && self.presses.len() < MAX_PRESSES {
            self.presses.push(Press { key, from, to: None });
        }
    }

    /// The key that is down was released.
    pub fn key_ended(&mut self, at: Instant) {
        let Some((key, since, _)) = self.down.take() else { return };
        let lasted = at.saturating_duration_since(since).min(LONGEST_PRESS);
        let lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        self.cue(since, What::Key { key, lasted_ms });
        let to = self.place_of(since + lasted);
        if let Some(press) = self.presses.last_mut().filter(|press| press.to.is_none()) {
            press.to = Some(to);
        }
    }

    /// All samples up to then that were not taken yet, those of the channels in turn.
    pub fn take(&mut self, until: Instant) -> Vec<i16> {
        let (from, to) = (self.taken, self.place_of(until).max(self.taken));
        let sent = self.sent.take(to);
        let mut received = self.received.take(to);
        self.withhold(from, &mut received);
        self.add_tones(from, &mut received);
        self.taken = to;
        match self.channels {
            Channels::Two => sent.into_iter().zip(received).flat_map(|(left, right)| [left, right]).collect(),
            Channels::Mixed => sent.into_iter().zip(received).map(|(a, b)| a.saturating_add(b)).collect(),
        }
    }

    /// The cues that were not taken yet.
    pub fn take_cues(&mut self) -> Vec<Cue> {
        std::mem::take(&mut self.cues)
    }

    /// Packets that came too late, or too many.
    pub fn late(&self) -> u64 {
        self.sent.late() + self.received.late()
    }

    fn place_of(&self, at: Instant) -> i64 {
        let rate_hz = u128::from(self.rate_hz);
        let samples = |duration: Duration| {
            i64::try_from(duration.as_nanos() * rate_hz / 1_000_000_000).unwrap_or(i64::MAX / 2)
        };
        match at.checked_duration_since(self.began) {
            Some(after) => samples(after),
            None => -samples(self.began.saturating_duration_since(at)),
        }
    }

    /// Silences what may not be heard of the caller's samples, the first of which is the recording's `first`.
    fn withhold(&mut self, first: i64, samples: &mut [i16]) {
        let Caller::Opens { from, detector } = &mut self.caller else {
            if matches!(self.caller, Caller::Withheld) {
                samples.fill(0);
            }
            return;
        };
        let per_block = self.rate_hz as usize / 100;
        let step = self.rate_hz.div_ceil(8_000) as usize;
        let mut place = first;
        for block in samples.chunks_mut(per_block) {
            let narrow: Vec<i16> = block.iter().step_by(step).copied().collect();
            detector.push(&narrow, |_| {});
            let is_over = place >= *from && !detector.is_pressed();
            block.fill_with(|| 0);
            place += block.len() as i64;
            if is_over {
                self.caller = Caller::Heard;
                break;
            }
        }
    }

    fn add_tones(&mut self, first: i64, samples: &mut [i16]) {
        let end = first + samples.len() as i64;
        let longest = i64::try_from(LONGEST_PRESS.as_secs()).unwrap_or(0) * i64::from(self.rate_hz);
        for press in &self.presses {
            let to = press.to.unwrap_or(i64::MAX).min(press.from + longest).min(end);
            for place in press.from.max(first)..to {
                let tone = key_sample(press.key, (place - press.from) as u32, self.rate_hz);
                if let Some(sample) = usize::try_from(place - first).ok().and_then(|at| samples.get_mut(at)) {
                    *sample = sample.saturating_add(tone);
                }
            }
        }
        self.presses.retain(|press| press.to.is_none_or(|to| to > end));
    }
}
