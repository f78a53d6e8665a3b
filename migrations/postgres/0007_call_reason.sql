-- Why the caller's side ended a call: the Reason field of its BYE or CANCEL (RFC 3326).

ALTER TABLE calls ADD COLUMN reason TEXT CHECK (length(reason) <= 256);

CREATE INDEX calls_sip_call_id ON calls (sip_call_id);
CREATE INDEX calls_caller ON calls (caller, received_at_ms) WHERE caller IS NOT NULL;
