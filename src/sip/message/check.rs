//! The check that comes before anything else is done with a message (RFC 3261 §8.2, §16.3; RFC 4475).

use super::scan::SIP_2_0;
use super::{Defect, Message, StartLine, Uri};

impl Message<'_> {
    /// Reads everything that a user agent must understand. A request that fails is answered with
    /// [`Defect::status`] and [`Defect::phrase`] through [`super::Writer::response`] (an ACK never); a response
    /// that fails is dropped. What depends on methods, dialogs and transactions is not looked at.
    ///
    /// Order: the version, the shape of the header, the fields every message has, the others, the body, and
    /// last the scheme of the Request-URI, since 416 may only be answered to a message that is otherwise right.
    ///
    /// # Errors
    /// The first defect found.
    pub fn check(&self) -> Result<(), Defect> {
        if let StartLine::Request { version, .. } = self.start()
            && !version.eq_ignore_ascii_case(SIP_2_0)
        {
            return Err(Defect::Version);
        }
        if let Some(defect) = self.head.defect {
            return Err(defect);
        }
        self.check_mandatory()?;
        self.check_optional()?;
        self.check_length()?;
        self.check_request_uri()
    }

    fn check_mandatory(&self) -> Result<(), Defect> {
        self.top_via()?;
        self.vias().try_for_each(|via| via.map(drop))?;
        self.from()?;
        self.to()?;
        self.call_id()?;
        let cseq = self.cseq()?;
        match self.method() {
            Some(method) if method != cseq.method => Err(Defect::CSeqMethod),
            _ => Ok(()),
        }
    }

    fn check_optional(&self) -> Result<(), Defect> {
        self.max_forwards()?;
        self.expires()?;
        self.content_type()?;
        self.content_disposition()?;
        self.date()?;
        self.retry_after()?;
        self.rseq()?;
        self.rack()?;
        self.session_expires()?;
        self.min_se()?;
        self.contacts().try_for_each(|contact| contact.map(drop))?;
        self.routes().try_for_each(|route| route.map(drop))?;
        self.record_routes().try_for_each(|route| route.map(drop))?;
        self.require().try_for_each(|tag| tag.map(drop))?;
        self.proxy_require().try_for_each(|tag| tag.map(drop))?;
        self.supported().try_for_each(|tag| tag.map(drop))?;
        self.content_encoding().try_for_each(|coding| coding.map(drop))?;
        match self.accept() {
            Some(mut ranges) => ranges.try_for_each(|range| range.map(drop)),
            None => Ok(()),
        }
    }

    fn check_length(&self) -> Result<(), Defect> {
        match self.content_length()? {
            Some(octets) if usize::try_from(octets).is_ok_and(|octets| octets > self.after_head.len()) => {
                Err(Defect::BodyTruncated)
            }
            _ => Ok(()),
        }
    }

    fn check_request_uri(&self) -> Result<(), Defect> {
        if self.method().is_none() {
            return Ok(());
        }
        match self.request_uri()? {
            Uri::Sip(uri) if uri.headers.is_some() => Err(Defect::RequestUri),
            Uri::Sip(_) | Uri::Tel(_) => Ok(()),
            Uri::Other(_) => Err(Defect::UriScheme),
        }
    }
}
