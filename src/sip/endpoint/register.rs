//! REGISTER requests of ours, and what comes of them (RFC 3261 §10.2). Which to send when is the business of
//! [`crate::sip::registration`].

use super::Endpoint;
use super::client_table::{ClientKey, Purpose};
use super::event::{Event, OriginateError, RegisterId, RegisterParams};
use super::originate::{Fields, Request, build, is_sips, name_addr};
use crate::sip::counters::Counter;
use crate::sip::dialog::MAX_FORWARDS;
use crate::sip::message::{Message, Method};
use crate::sip::registration::{RegisterAnswer, RegisterOutcome};
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

impl Endpoint {
    /// Sends a REGISTER by `flow`.
    ///
    /// # Errors
    /// When a limit is reached, or something given cannot stand in a message.
    pub fn register(
        &mut self,
        now: Instant,
        flow: Flow,
        params: &RegisterParams,
    ) -> Result<RegisterId, OriginateError> {
        if !self.has_client_room() {
            return Err(OriginateError::TooManyTransactions);
        }
        let (branch, tag) = (self.identifiers.branch(), self.identifiers.tag());
        let address = params.address_of_record.as_str();
        let (method, uri) = (Method::Register, params.request_uri.as_str());
        let request = Request { method, uri, from: address, to: address, branch, tag };
        let mut fields: Fields = vec![
            ("Via".to_owned(), self.via(flow, branch)),
            ("Max-Forwards".to_owned(), MAX_FORWARDS.to_string()),
        ];
        fields.extend(params.routes.iter().map(|route| ("Route".to_owned(), route.clone())));
        let contact = self.contact_of(flow, &params.contact_user, is_sips(&params.request_uri));
        fields.extend([
            ("From".to_owned(), format!("{};tag={tag}", name_addr(address)?)),
            ("To".to_owned(), name_addr(address)?),
            ("Call-ID".to_owned(), params.call_id.clone()),
            ("CSeq".to_owned(), format!("{} REGISTER", params.cseq)),
            ("Contact".to_owned(), format!("{contact};expires={}", params.expires_s)),
            ("Expires".to_owned(), params.expires_s.to_string()),
        ]);
        if !self.config.server_name.is_empty() {
            fields.push(("User-Agent".to_owned(), self.config.server_name.clone()));
        }
        for (name, value) in &params.fields {
            fields.push((name.as_str().to_owned(), value.clone()));
        }
        let bytes = build(&request, &fields, None)?;
        let id = RegisterId(self.next_number());
        self.counters.count(Counter::RegistersSent);
        self.open_client(now, flow, ClientKey { branch, is_cancel: false }, bytes, Purpose::Register(id));
        Ok(id)
    }

    pub(super) fn register_answered(&mut self, request: RegisterId, sent: &Bytes, response: &Message<'_>) {
        let Ok(sent) = Message::parse(sent) else { return };
        let answer = RegisterAnswer::of(&sent, response);
        let outcome = RegisterOutcome::Answered(Box::new(answer));
        self.emit(Event::RegisterEnded { request, outcome });
    }
}
