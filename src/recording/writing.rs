//! The recorder's thread: orders and packets in, files out.

use super::container::{self, SEGMENT_OVERHEAD_OCTETS};
use super::content::{Cue, EndedBy, Entry, Head, Tail, What};
use super::folder;
use super::key::Key;
use super::recorder::{Beginning, Order, Totals};
use super::settings::Settings;
use super::tape::Tape;
use crate::media::{ForkState, ForkedPacket};
use crate::units::CallId;
use crate::units::clock::{Clock, entropy};
use jiff::Timestamp;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often packets are fetched while something is recorded.
const TURN: Duration = Duration::from_millis(50);
/// How long packets may be late before their place is silence.
const HORIZON: Duration = Duration::from_secs(1);
/// How often what is recorded is written.
const FLUSHED_EVERY: Duration = Duration::from_secs(1);
/// How often old recordings are looked for.
const EXPIRED_EVERY: Duration = Duration::from_secs(3_600);
/// Octets of content that make a segment at once.
const MOST_AT_ONCE: usize = 1 << 18;
/// Cues of one recording; further ones are left out.
const MAX_CUES: usize = 10_000;

/// The thread's state; [`Writing::run`] is the thread.
pub struct Writing {
    settings: Settings,
    key: Option<Key>,
    clock: Clock,
    totals: Arc<Totals>,
    orders: Receiver<Order>,
    packets: Receiver<ForkedPacket>,
    live: HashMap<u64, Live>,
    /// Ends that wait for the packets before them.
    ends: Vec<Order>,
    stopping: bool,
}

/// A recording that goes on.
struct Live {
    call: CallId,
    tape: Tape,
    file: container::Writer<File>,
    path: PathBuf,
    /// Content of the next segment.
    content: Vec<u8>,
    cues: usize,
    flushed: Instant,
    state: Arc<ForkState>,
    lost: u64,
}

/// Why a recording cannot go on.
enum Trouble {
    /// It has ended, in good order.
    Ends(EndedBy),
    /// It cannot be written.
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl Writing {
    pub fn new(
        settings: Settings,
        key: Option<Key>,
        clock: Clock,
        totals: Arc<Totals>,
        orders: Receiver<Order>,
        packets: Receiver<ForkedPacket>,
    ) -> Self {
        Self {
            settings,
            key,
            clock,
            totals,
            orders,
            packets,
            live: HashMap::new(),
            ends: Vec::new(),
            stopping: false,
        }
    }

    /// Runs until told to stop, or until nobody is left to tell it.
    pub fn run(mut self) {
        self.expire();
        let octets = folder::list(&self.settings.folder).iter().map(|found| found.octets).sum();
        self.totals.octets.store(octets, Ordering::Relaxed);
        let mut expires = self.clock.instant() + EXPIRED_EVERY;
        while !self.stopping {
            let now = self.clock.instant();
            let wait = if self.live.is_empty() { expires.saturating_duration_since(now) } else { TURN };
            match self.orders.recv_timeout(wait) {
                Ok(order) => self.carry_out(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.stopping = true,
            }
            self.carry_out_all();
            self.take_packets();
            self.write();
            if self.clock.instant() >= expires {
                self.expire();
                expires += EXPIRED_EVERY;
            }
        }
        let now = self.clock.instant();
        for recording in self.live.keys().copied().collect::<Vec<_>>() {
            self.end(recording, now, true, EndedBy::Shutdown);
        }
    }

    fn carry_out_all(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.carry_out(order);
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Begin(beginning) => self.begin(*beginning),
            Order::Open { recording, at } => self.with(recording, |tape| tape.open(at)),
            Order::Cue { recording, at, what } => self.with(recording, |tape| tape.cue(at, what)),
            Order::KeyBegan { recording, at, key, tone } => {
                self.with(recording, |tape| tape.key_began(at, key, tone));
            }
            Order::KeyEnded { recording, at } => self.with(recording, |tape| tape.key_ended(at)),
            end @ Order::End { .. } => self.ends.push(end),
            Order::Stop => self.stopping = true,
        }
    }

    fn with(&mut self, recording: u64, act: impl FnOnce(&mut Tape)) {
        if let Some(live) = self.live.get_mut(&recording) {
            act(&mut live.tape);
        }
    }

    fn begin(&mut self, beginning: Beginning) {
        let Beginning { recording, subject, why, at, withheld, state, opened } = beginning;
        let call = subject.call;
        let tape = Tape::new(at, self.settings.rate_hz, self.settings.channels, withheld);
        let made = self.make(call, |part, began| Head {
            call,
            part,
            began,
            caller: subject.caller,
            called: subject.called,
            flow: subject.flow,
            channels: self.settings.channels,
            rate_hz: self.settings.rate_hz,
            why,
        });
        match made {
            Ok((file, path)) => {
                self.totals.octets.fetch_add(file.octets(), Ordering::Relaxed);
                let _ = opened.map(|opened| opened.send(Ok(path.display().to_string())));
                let (content, flushed) = (Vec::new(), at);
                let live = Live { call, tape, file, path, content, cues: 0, flushed, state, lost: 0 };
                self.live.insert(recording, live);
            }
            Err(error) => {
                tracing::error!(%error, %call, "a recording cannot be made; the call goes on without");
                let _ = opened.map(|opened| opened.send(Err(error.to_string())));
                state.set_over();
                self.totals.failed.fetch_add(1, Ordering::Relaxed);
                self.totals.active.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// Makes the file and writes its head, so that it can be listed from the first moment.
    fn make(
        &self,
        call: CallId,
        head: impl FnOnce(u32, Timestamp) -> Head,
    ) -> io::Result<(container::Writer<File>, PathBuf)> {
        let (part, path, file) = folder::create(&self.settings.folder, call)?;
        let mut file = container::Writer::create(file, self.key.as_ref(), entropy())?;
        let mut content = Vec::new();
        Entry::Head(head(part, self.clock.wall())).write(&mut content);
        file.segment(&mut content, false)?;
        Ok((file, path))
    }

    fn take_packets(&mut self) {
        while let Ok(packet) = self.packets.try_recv() {
            if !self.live.contains_key(&packet.recording) {
                // Its recording's beginning was ordered before the packet could be copied.
                self.carry_out_all();
            }
            if let Some(live) = self.live.get_mut(&packet.recording) {
                live.tape.packet(packet);
            }
        }
        for order in std::mem::take(&mut self.ends) {
            if let Order::End { recording, at, kept, by } = order {
                self.end(recording, at, kept, by);
            }
        }
    }

    /// Writes what has come of age.
    fn write(&mut self) {
        let now = self.clock.instant();
        let longest = Duration::from_secs(self.settings.max_call_s);
        let due = |live: &Live| now.saturating_duration_since(live.flushed) >= FLUSHED_EVERY;
        let due: Vec<u64> =
            self.live.iter().filter(|(_, live)| due(live)).map(|(recording, _)| *recording).collect();
        for recording in due {
            let Some(live) = self.live.get_mut(&recording) else { continue };
            let until = now.checked_sub(HORIZON).unwrap_or(now);
            let outcome = live.flush(until, &self.totals, self.settings.max_octets).and_then(|()| {
                if now.saturating_duration_since(live.tape.began()) >= longest {
                    return Err(Trouble::Ends(EndedBy::Length));
                }
                Ok(())
            });
            live.flushed = now;
            match outcome {
                Ok(()) => {}
                Err(Trouble::Ends(by)) => self.end(recording, now, true, by),
                Err(Trouble::Io(error)) => self.fail(recording, &error),
            }
        }
    }

    fn end(&mut self, recording: u64, at: Instant, kept: bool, by: EndedBy) {
        let Some(mut live) = self.live.remove(&recording) else { return };
        live.tape.key_ended(at);
        let ended = self.clock.wall();
        let outcome =
            if kept { live.finish(at, ended, by, &self.totals, self.settings.max_octets) } else { Ok(()) };
        if let Err(error) = outcome {
            self.live.insert(recording, live);
            return self.fail(recording, &error);
        }
        live.state.set_over();
        self.totals.active.fetch_sub(1, Ordering::AcqRel);
        if kept {
            self.totals.kept.fetch_add(1, Ordering::Relaxed);
            return match by {
                EndedBy::Length => tracing::info!(call = %live.call, "a recording is as long as it may be"),
                EndedBy::Room => {
                    tracing::error!(call = %live.call, "the folder of recordings holds as much as it may; a recording ends");
                }
                _ => tracing::debug!(call = %live.call, "a recording is written"),
            };
        }
        let octets = live.file.octets();
        match std::fs::remove_file(&live.path) {
            Ok(()) => {
                self.totals.octets.fetch_sub(octets, Ordering::Relaxed);
                self.totals.discarded.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => tracing::error!(%error, call = %live.call, "a recording cannot be deleted"),
        }
    }

    /// A disk that is full, or broken: the recording ends with its last good segment, the call goes on.
    fn fail(&mut self, recording: u64, error: &io::Error) {
        let Some(live) = self.live.remove(&recording) else { return };
        live.state.set_over();
        self.totals.active.fetch_sub(1, Ordering::AcqRel);
        self.totals.failed.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, call = %live.call, "a recording cannot be written; the call goes on without");
        if let Err(error) = live.file.get_ref().set_len(live.file.octets()) {
            tracing::debug!(%error, "half a segment stays behind");
        }
    }

    fn expire(&mut self) {
        let (files, octets) =
            folder::expire(&self.settings.folder, self.clock.wall(), self.settings.keep_days);
        if files > 0 {
            self.totals.expired.fetch_add(files, Ordering::Relaxed);
            let left = self.totals.octets.load(Ordering::Relaxed).saturating_sub(octets);
            self.totals.octets.store(left, Ordering::Relaxed);
            tracing::info!(files, octets, days = self.settings.keep_days, "old recordings are deleted");
        }
    }
}

impl Live {
    /// Writes all up to then.
    fn flush(&mut self, until: Instant, totals: &Totals, max_octets: u64) -> Result<(), Trouble> {
        for entry in self.entries(until, totals) {
            entry.write(&mut self.content);
            if self.content.len() >= MOST_AT_ONCE {
                self.segment(totals, max_octets)?;
            }
        }
        if self.content.is_empty() { Ok(()) } else { self.segment(totals, max_octets) }
    }

    fn segment(&mut self, totals: &Totals, max_octets: u64) -> Result<(), Trouble> {
        let octets = (self.content.len() + SEGMENT_OVERHEAD_OCTETS) as u64;
        if totals.octets.load(Ordering::Relaxed) + octets > max_octets {
            self.content.clear();
            return Err(Trouble::Ends(EndedBy::Room));
        }
        self.file.segment(&mut self.content, false)?;
        totals.octets.fetch_add(octets, Ordering::Relaxed);
        Ok(())
    }

    /// What there is up to then, in pieces that a segment holds.
    fn entries(&mut self, until: Instant, totals: &Totals) -> Vec<Entry> {
        let lost = self.state.lost();
        if lost > self.lost {
            totals.lost_packets.fetch_add(lost - self.lost, Ordering::Relaxed);
            self.tape.cue(until, What::Lost { packets: lost - self.lost });
            self.lost = lost;
        }
        let samples = self.tape.take(until);
        let audio = samples.chunks(MOST_AT_ONCE / 4).map(|piece| Entry::Audio(piece.to_vec()));
        let room = MAX_CUES.saturating_sub(self.cues);
        let cues: Vec<Cue> = self.tape.take_cues().into_iter().take(room).collect();
        self.cues += cues.len();
        audio.chain(cues.into_iter().map(Entry::Cue)).collect()
    }

    /// Writes the rest, and the end.
    fn finish(
        &mut self,
        at: Instant,
        ended: Timestamp,
        by: EndedBy,
        totals: &Totals,
        max_octets: u64,
    ) -> io::Result<()> {
        let by = match self.flush(at, totals, max_octets) {
            Ok(()) => by,
            Err(Trouble::Ends(by)) => by,
            Err(Trouble::Io(error)) => return Err(error),
        };
        Entry::Tail(Tail { ended, by, lost: self.lost, late: self.tape.late() }).write(&mut self.content);
        let before = self.file.octets();
        self.file.segment(&mut self.content, true)?;
        totals.octets.fetch_add(self.file.octets() - before, Ordering::Relaxed);
        // It is kept for months: it may as well outlive a power cut.
        self.file.get_ref().sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Ending, Read, Subject, Why};
    use std::os::fd::OwnedFd;
    use std::sync::mpsc::sync_channel;

    /// A disk that fills up while a call is recorded: here a pipe whose reader goes.
    #[test]
    fn what_cannot_be_written_any_more_ends_the_recording_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { folder: folder.path().to_owned(), unencrypted: true, ..Settings::default() };
        let (clock, totals) = (Clock::system(), Arc::new(Totals::default()));
        let (orders, ordered) = sync_channel(9);
        let (_packets, copied) = sync_channel(9);
        let mut writing = Writing::new(settings, None, clock, Arc::clone(&totals), ordered, copied);
        let (wall, at) = (clock.wall(), clock.instant());
        let states = [1, 2].map(|recording| {
            let call = CallId::new(wall, [recording as u8; 10]);
            let nothing = String::new;
            let subject = Subject { call, caller: nothing(), called: nothing(), flow: nothing() };
            let state = Arc::<ForkState>::default();
            totals.active.fetch_add(1, Ordering::Relaxed);
            let why = Why::Setting;
            let beginning = Beginning {
                recording,
                subject,
                why,
                at,
                withheld: false,
                state: Arc::clone(&state),
                opened: None,
            };
            writing.carry_out(Order::Begin(Box::new(beginning)));
            state
        });
        let (reader, pipe) = std::io::pipe().unwrap();
        let broken = container::Writer::create(File::from(OwnedFd::from(pipe)), None, [0; 32]).unwrap();
        writing.live.get_mut(&1).unwrap().file = broken;
        drop(reader);
        for recording in [1, 2] {
            let what = What::Node { node: "confirm".to_owned() };
            orders.try_send(Order::Cue { recording, at, what }).unwrap();
        }
        writing.carry_out_all();
        for live in writing.live.values_mut() {
            live.flushed = at.checked_sub(FLUSHED_EVERY).unwrap();
        }
        writing.write();
        assert_eq!(states.each_ref().map(|state| state.is_over()), [true, false]);
        assert_eq!((totals.failed.load(Ordering::Relaxed), totals.active.load(Ordering::Relaxed)), (1, 1));
        // The other one is written to its end.
        orders.try_send(Order::End { recording: 2, at, kept: true, by: EndedBy::Call }).unwrap();
        writing.carry_out_all();
        writing.take_packets();
        let found = folder::find(folder.path(), CallId::new(wall, [2; 10]));
        let read = Read::open(&found[0].path, None).unwrap();
        assert!(matches!(read.ending, Ending::Whole) && read.cues.len() == 1);
    }
}
