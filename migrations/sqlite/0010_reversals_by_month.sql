-- A reversal stands in an open month: that of its activation, or a later one where that is closed.

CREATE TRIGGER reversals_in_open_months BEFORE INSERT ON reversals
BEGIN
    SELECT RAISE(ABORT, 'the month is closed')
        WHERE NOT EXISTS (SELECT 1 FROM months WHERE month = NEW.month AND sequence IS NULL);
    SELECT RAISE(ABORT, 'a month that is open takes its own reversals')
        WHERE EXISTS (SELECT 1 FROM activations v JOIN months m ON m.month = v.month
                      WHERE v.id = NEW.activation_id AND v.month <> NEW.month AND m.sequence IS NULL);
END;

CREATE INDEX reversals_month ON reversals (month);
