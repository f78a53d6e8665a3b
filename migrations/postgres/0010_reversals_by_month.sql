-- A reversal stands in an open month: that of its activation, or a later one where that is closed.

CREATE FUNCTION reversals_in_open_months() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM months WHERE month = NEW.month AND sequence IS NULL) THEN
        RAISE EXCEPTION 'the month is closed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM activations v JOIN months m ON m.month = v.month
               WHERE v.id = NEW.activation_id AND v.month <> NEW.month AND m.sequence IS NULL) THEN
        RAISE EXCEPTION 'a month that is open takes its own reversals'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reversals_in_open_months BEFORE INSERT ON reversals
    FOR EACH ROW EXECUTE FUNCTION reversals_in_open_months();

CREATE INDEX reversals_month ON reversals (month);
