-- Bookings that calls have tried: part of the record of a call, written before the first try. Of what became of a try
-- whose answer was lost the ledger tells, by the id: it has the activation, or nothing was booked.

CREATE TABLE attempts (
    activation_id       TEXT    PRIMARY KEY NOT NULL,       -- UUID, not a reference: it may not have been booked
    call_id             TEXT    NOT NULL,
    caller_msisdn       TEXT    NOT NULL,
    member_msisdn       TEXT    NOT NULL,
    package_id          INTEGER NOT NULL,
    quoted_net_qindarka INTEGER NOT NULL,
    tried_at_ms         INTEGER NOT NULL
) STRICT;

CREATE INDEX attempts_call ON attempts (call_id);

CREATE TRIGGER attempts_never_deleted BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'a tried booking is never deleted'); END;
CREATE TRIGGER attempts_never_updated BEFORE UPDATE ON attempts
BEGIN SELECT RAISE(ABORT, 'a tried booking is never updated'); END;
CREATE TRIGGER attempts_never_replaced BEFORE INSERT ON attempts
WHEN EXISTS (SELECT 1 FROM attempts WHERE activation_id = NEW.activation_id)
BEGIN SELECT RAISE(ABORT, 'the tried booking exists'); END;
