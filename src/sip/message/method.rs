//! Request methods.

use std::fmt;

macro_rules! methods {
    ($($variant:ident = $text:literal, $source:literal;)*) => {
        /// A request method (RFC 3261 §7.1). Names are case-sensitive.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method<'a> {
            $(#[doc = concat!("`", $text, "`, ", $source, ".")] $variant,)*
            /// Any other token.
            Other(&'a [u8]),
        }

        impl<'a> Method<'a> {
            /// The method that `name` spells. Whether `name` is a token is not looked at.
            pub fn from_octets(name: &'a [u8]) -> Self {
                $(if name == $text.as_bytes() { return Self::$variant; })*
                Self::Other(name)
            }

            /// As it stands on the wire.
            pub fn as_octets(&self) -> &'a [u8] {
                match self { $(Self::$variant => $text.as_bytes(),)* Self::Other(name) => name }
            }
        }
    };
}

methods! {
    Invite = "INVITE", "RFC 3261 §13";
    Ack = "ACK", "RFC 3261 §13";
    Bye = "BYE", "RFC 3261 §15";
    Cancel = "CANCEL", "RFC 3261 §9";
    Options = "OPTIONS", "RFC 3261 §11";
    Register = "REGISTER", "RFC 3261 §10";
    Info = "INFO", "RFC 6086";
    Prack = "PRACK", "RFC 3262";
    Update = "UPDATE", "RFC 3311";
    Subscribe = "SUBSCRIBE", "RFC 6665";
    Notify = "NOTIFY", "RFC 6665";
    Refer = "REFER", "RFC 3515";
    Message = "MESSAGE", "RFC 3428";
    Publish = "PUBLISH", "RFC 3903";
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.as_octets().escape_ascii())
    }
}
