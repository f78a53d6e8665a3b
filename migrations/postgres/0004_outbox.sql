-- What is to be told to the world, written in the transaction that makes it true; and the record of each call.

CREATE TABLE outbox (
    id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    activation_id   TEXT    NOT NULL REFERENCES activations (id),
    kind            TEXT    NOT NULL CHECK (kind IN ('order', 'sms')),
    audience        TEXT    CHECK (audience IN ('leader', 'member', 'own')),
    recipient       TEXT    NOT NULL,                       -- of an order: the member's number
    state           TEXT    NOT NULL CHECK (state IN ('waiting', 'due', 'sent')),
    text            TEXT,                                   -- of an SMS, made at the settlement
    due_at_ms       BIGINT,
    sent_at_ms      BIGINT,
    CHECK ((kind = 'sms') = (audience IS NOT NULL)),
    CHECK (kind = 'order' OR (state = 'waiting') = (text IS NULL)),
    CHECK (kind = 'sms' OR (state <> 'waiting' AND text IS NULL)),
    CHECK ((state = 'waiting') = (due_at_ms IS NULL)),
    CHECK ((state = 'sent') = (sent_at_ms IS NOT NULL))
);

CREATE UNIQUE INDEX outbox_one ON outbox (activation_id, kind, recipient);
CREATE INDEX outbox_due ON outbox (id) WHERE state = 'due';

CREATE TRIGGER outbox_never_deleted BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION never_deleted();

-- Forward only: waiting, due, sent. An SMS says what has happened: not before the settlement.
CREATE FUNCTION outbox_forward() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.activation_id <> OLD.activation_id OR NEW.kind <> OLD.kind
       OR NEW.audience IS DISTINCT FROM OLD.audience OR NEW.recipient <> OLD.recipient
       OR (OLD.text IS NOT NULL AND NEW.text IS DISTINCT FROM OLD.text)
       OR NOT ((OLD.state = 'waiting' AND NEW.state = 'due') OR (OLD.state = 'due' AND NEW.state = 'sent')) THEN
        RAISE EXCEPTION 'an outbox row goes from waiting to due to sent'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.kind = 'sms' AND NEW.state = 'due'
       AND NOT EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id) THEN
        RAISE EXCEPTION 'an SMS is made at the settlement' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outbox_forward BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION outbox_forward();

CREATE FUNCTION outbox_starts() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.kind = 'order' AND NEW.state <> 'due') OR (NEW.kind = 'sms' AND NEW.state <> 'waiting') THEN
        RAISE EXCEPTION 'an order starts due and an SMS waiting' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outbox_starts BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION outbox_starts();

CREATE TABLE calls (
    id              TEXT    PRIMARY KEY,                    -- UUID
    sip_call_id     TEXT    NOT NULL,
    caller          TEXT,                                   -- whole; NULL: anonymous
    called          TEXT    NOT NULL,
    received_at_ms  BIGINT  NOT NULL,
    answered_at_ms  BIGINT,
    ended_at_ms     BIGINT  NOT NULL,
    end_cause       TEXT    NOT NULL,
    outcome         TEXT    NOT NULL,
    nodes           TEXT    NOT NULL CHECK (CAST(nodes AS JSONB) IS NOT NULL),
    free_of_charge  BIGINT  NOT NULL CHECK (free_of_charge IN (0, 1)),
    CHECK (ended_at_ms >= received_at_ms)
);

CREATE INDEX calls_received ON calls (received_at_ms);

CREATE TRIGGER calls_never_deleted BEFORE DELETE ON calls FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER calls_never_updated BEFORE UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION never_updated();
