-- Where a call came from, and what its INVITE said of its caller.

ALTER TABLE calls ADD COLUMN peer TEXT;                                 -- NULL: a stranger
ALTER TABLE calls ADD COLUMN user_name TEXT;                            -- who authenticated
ALTER TABLE calls ADD COLUMN charging_id TEXT                           -- icid-value of P-Charging-Vector
    CHECK (length(charging_id) <= 256);
ALTER TABLE calls ADD COLUMN routing_number TEXT                        -- rn of a ported number
    CHECK (length(routing_number) <= 256);
ALTER TABLE calls ADD COLUMN stated TEXT                                -- [{"name", "value"}, …]
    CHECK (CAST(stated AS JSONB) IS NOT NULL OR stated IS NULL);
ALTER TABLE calls ADD CHECK (length(stated) <= 65536);

CREATE INDEX calls_charging_id ON calls (charging_id) WHERE charging_id IS NOT NULL;
