//! Two endpoints that talk to each other.

use super::*;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Caller,
    Callee,
}

/// A caller and a callee on a network without delay or loss, and what went over it.
pub(super) struct Pair {
    pub(super) caller: Endpoint,
    pub(super) callee: Endpoint,
    start: Instant,
    pub(super) now: Instant,
    /// Everything sent: milliseconds from the start, who, and the message.
    pub(super) sent: Vec<(u128, Side, String)>,
}

impl Pair {
    pub(super) fn new(caller: EndpointConfig, callee: EndpointConfig) -> Self {
        let start = Clock::system().instant();
        let (caller, callee) = (Endpoint::new(caller), Endpoint::new(callee));
        Self { caller, callee, start, now: start, sent: vec![] }
    }

    fn take(&mut self, side: Side) -> Option<Transmit> {
        let endpoint = if side == Side::Caller { &mut self.caller } else { &mut self.callee };
        let transmit = endpoint.poll_transmit()?;
        assert_sound(&transmit.bytes);
        let at_ms = (self.now - self.start).as_millis();
        self.sent.push((at_ms, side, String::from_utf8_lossy(&transmit.bytes).into_owned()));
        Some(transmit)
    }

    /// Carries messages until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(Transmit { flow, bytes, .. }) = self.take(Side::Caller) {
                quiet = false;
                let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
                self.callee.handle_datagram(self.now, flow, &bytes);
            }
            while let Some(Transmit { flow, bytes, .. }) = self.take(Side::Callee) {
                quiet = false;
                let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
                self.caller.handle_datagram(self.now, flow, &bytes);
            }
            if quiet {
                return;
            }
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        loop {
            let next = [self.caller.poll_timeout(), self.callee.poll_timeout()].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.caller.handle_timeout(self.now);
            self.callee.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// The first lines since `from` messages were sent.
    pub(super) fn lines(&self, from: usize) -> Vec<&str> {
        self.sent.iter().skip(from).map(|(_, _, message)| first_line(message)).collect()
    }

    pub(super) fn events(endpoint: &mut Endpoint) -> Vec<Event> {
        std::iter::from_fn(|| endpoint.poll_event()).collect()
    }

    /// A call that was sent and is not answered: the caller's session and the callee's.
    pub(super) fn call(&mut self, sdp: Option<&str>) -> (SessionId, SessionId) {
        let flow = Flow { local: flow().remote, remote: flow().local, ..flow() };
        let params = InviteParams {
            request_uri: "sip:130@192.0.2.1".to_owned(),
            from: "sip:caller@192.0.2.9".to_owned(),
            to: "sip:130@192.0.2.1".to_owned(),
            sdp: sdp.map(|sdp| sdp.as_bytes().to_vec()),
            ..InviteParams::default()
        };
        let calling = self.caller.invite(self.now, flow, &params).expect("called");
        self.settle();
        match &*Self::events(&mut self.callee) {
            [Event::Invite(invite)] => (calling, invite.session),
            other => panic!("not an INVITE: {other:?}"),
        }
    }

    /// A call that stands.
    pub(super) fn established(&mut self) -> (SessionId, SessionId) {
        let (calling, called) = self.call(Some(SDP));
        self.callee.accept(self.now, called, OUR_SDP.into()).expect("accepted");
        self.settle();
        assert!(matches!(&*Self::events(&mut self.caller), [Event::Answered { .. }]));
        assert!(matches!(&*Self::events(&mut self.callee), [Event::Confirmed { .. }]));
        (calling, called)
    }

    /// Lets all timers run out: nothing is left on either side.
    pub(super) fn drain(&mut self) {
        self.advance(Duration::from_secs(4_000));
        assert_nothing_left(&self.caller);
        assert_nothing_left(&self.callee);
    }
}
