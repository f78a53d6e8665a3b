-- What is to be told to the world, written in the transaction that makes it true; and the record of each call.

CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    activation_id   TEXT    NOT NULL REFERENCES activations (id),
    kind            TEXT    NOT NULL CHECK (kind IN ('order', 'sms')),
    audience        TEXT    CHECK (audience IN ('leader', 'member', 'own')),
    recipient       TEXT    NOT NULL,                       -- of an order: the member's number
    state           TEXT    NOT NULL CHECK (state IN ('waiting', 'due', 'sent')),
    text            TEXT,                                   -- of an SMS, made at the settlement
    due_at_ms       INTEGER,
    sent_at_ms      INTEGER,
    CHECK ((kind = 'sms') = (audience IS NOT NULL)),
    CHECK (kind = 'order' OR (state = 'waiting') = (text IS NULL)),
    CHECK (kind = 'sms' OR (state <> 'waiting' AND text IS NULL)),
    CHECK ((state = 'waiting') = (due_at_ms IS NULL)),
    CHECK ((state = 'sent') = (sent_at_ms IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX outbox_one ON outbox (activation_id, kind, recipient);
CREATE INDEX outbox_due ON outbox (id) WHERE state = 'due';

CREATE TRIGGER outbox_never_deleted BEFORE DELETE ON outbox
BEGIN SELECT RAISE(ABORT, 'the outbox is never deleted from'); END;

-- Forward only: waiting, due, sent.
CREATE TRIGGER outbox_forward BEFORE UPDATE ON outbox
WHEN NEW.id IS NOT OLD.id OR NEW.activation_id IS NOT OLD.activation_id OR NEW.kind IS NOT OLD.kind
  OR NEW.audience IS NOT OLD.audience OR NEW.recipient IS NOT OLD.recipient
  OR (OLD.text IS NOT NULL AND NEW.text IS NOT OLD.text)
  OR NOT ((OLD.state = 'waiting' AND NEW.state = 'due') OR (OLD.state = 'due' AND NEW.state = 'sent'))
BEGIN SELECT RAISE(ABORT, 'an outbox row goes from waiting to due to sent'); END;

-- An SMS says what has happened: not before the settlement.
CREATE TRIGGER outbox_sms_after_settlement BEFORE UPDATE ON outbox
WHEN NEW.kind = 'sms' AND NEW.state = 'due'
 AND NOT EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id)
BEGIN SELECT RAISE(ABORT, 'an SMS is made at the settlement'); END;

CREATE TRIGGER outbox_starts BEFORE INSERT ON outbox
BEGIN
    SELECT RAISE(ABORT, 'an order starts due and an SMS waiting')
        WHERE NEW.state IS NOT CASE NEW.kind WHEN 'order' THEN 'due' ELSE 'waiting' END;
    SELECT RAISE(ABORT, 'the outbox row exists')
        WHERE EXISTS (SELECT 1 FROM outbox WHERE id = NEW.id
                      OR (activation_id = NEW.activation_id AND kind = NEW.kind AND recipient = NEW.recipient));
END;

CREATE TABLE calls (
    id              TEXT    PRIMARY KEY NOT NULL,           -- UUID
    sip_call_id     TEXT    NOT NULL,
    caller          TEXT,                                   -- whole; NULL: anonymous
    called          TEXT    NOT NULL,
    received_at_ms  INTEGER NOT NULL,
    answered_at_ms  INTEGER,
    ended_at_ms     INTEGER NOT NULL,
    end_cause       TEXT    NOT NULL,
    outcome         TEXT    NOT NULL,
    nodes           TEXT    NOT NULL CHECK (json_valid(nodes)),
    free_of_charge  INTEGER NOT NULL CHECK (free_of_charge IN (0, 1)),
    CHECK (ended_at_ms >= received_at_ms)
) STRICT;

CREATE INDEX calls_received ON calls (received_at_ms);

CREATE TRIGGER calls_never_deleted BEFORE DELETE ON calls
BEGIN SELECT RAISE(ABORT, 'call records are never deleted'); END;
CREATE TRIGGER calls_never_updated BEFORE UPDATE ON calls
BEGIN SELECT RAISE(ABORT, 'call records are never updated'); END;
CREATE TRIGGER calls_never_replaced BEFORE INSERT ON calls
WHEN EXISTS (SELECT 1 FROM calls WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the call record exists'); END;
