-- Bookings that calls have tried: part of the record of a call, written before the first try. Of what became of a try
-- whose answer was lost the ledger tells, by the id: it has the activation, or nothing was booked.

CREATE TABLE attempts (
    activation_id       TEXT    PRIMARY KEY,                -- UUID, not a reference: it may not have been booked
    call_id             TEXT    NOT NULL,
    caller_msisdn       TEXT    NOT NULL,
    member_msisdn       TEXT    NOT NULL,
    package_id          BIGINT  NOT NULL,
    quoted_net_qindarka BIGINT  NOT NULL,
    tried_at_ms         BIGINT  NOT NULL
);

CREATE INDEX attempts_call ON attempts (call_id);

CREATE TRIGGER attempts_never_deleted BEFORE DELETE ON attempts FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER attempts_never_updated BEFORE UPDATE ON attempts FOR EACH ROW EXECUTE FUNCTION never_updated();
