-- Terms and packages as dated versions (DOMAIN §2.1, §7). Days are calendar days in Europe/Tirane, ISO 8601.
-- Amounts are whole qindarka.

CREATE TABLE terms (
    id                      BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    discount_qindarka       BIGINT  NOT NULL CHECK (discount_qindarka >= 0),
    limit_qindarka          BIGINT  NOT NULL CHECK (limit_qindarka > 0),
    lowest_package_qindarka BIGINT  NOT NULL CHECK (lowest_package_qindarka > 0),
    members_max             BIGINT  NOT NULL CHECK (members_max BETWEEN 1 AND 255),
    announced_on            TEXT    NOT NULL CHECK (CAST(CAST(announced_on AS DATE) AS TEXT) = announced_on),
    effective_on            TEXT    NOT NULL UNIQUE CHECK (CAST(CAST(effective_on AS DATE) AS TEXT) = effective_on),
    recorded_on             TEXT    NOT NULL CHECK (CAST(CAST(recorded_on AS DATE) AS TEXT) = recorded_on)
);

CREATE TABLE packages (
    id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            TEXT    NOT NULL CHECK (name ~ '^Super [1-9]'),
    list_qindarka   BIGINT  NOT NULL CHECK (list_qindarka > 0),
    announced_on    TEXT    NOT NULL CHECK (CAST(CAST(announced_on AS DATE) AS TEXT) = announced_on),
    valid_from      TEXT    NOT NULL CHECK (CAST(CAST(valid_from AS DATE) AS TEXT) = valid_from),
    valid_until     TEXT    CHECK (CAST(CAST(valid_until AS DATE) AS TEXT) = valid_until
                                   AND valid_until >= valid_from),      -- first day not sold
    recorded_on     TEXT    NOT NULL CHECK (CAST(CAST(recorded_on AS DATE) AS TEXT) = recorded_on)
);

CREATE INDEX packages_name ON packages (name, valid_from);

CREATE TRIGGER terms_never_deleted BEFORE DELETE ON terms FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER packages_never_deleted BEFORE DELETE ON packages FOR EACH ROW EXECUTE FUNCTION never_deleted();

CREATE FUNCTION terms_never_updated() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'terms are followed by new ones, never changed'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER terms_never_updated BEFORE UPDATE ON terms FOR EACH ROW EXECUTE FUNCTION terms_never_updated();

-- 30 days' notice (DOMAIN §7); the first version, which changes nothing for anybody, is exempt.
CREATE FUNCTION terms_notice() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM terms) THEN
        RETURN NEW;
    END IF;
    IF CAST(NEW.effective_on AS DATE) - CAST(NEW.announced_on AS DATE) < 30 THEN
        RAISE EXCEPTION 'new terms take effect 30 days after their notice at the earliest'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.announced_on > NEW.recorded_on THEN
        RAISE EXCEPTION 'terms cannot be announced in the future' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.effective_on <= NEW.recorded_on THEN
        RAISE EXCEPTION 'days that have begun keep the terms they had'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.effective_on <= (SELECT MAX(effective_on) FROM terms) THEN
        RAISE EXCEPTION 'new terms take effect after the version before'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER terms_notice BEFORE INSERT ON terms FOR EACH ROW EXECUTE FUNCTION terms_notice();

CREATE FUNCTION packages_only_retire() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.name <> OLD.name OR NEW.list_qindarka <> OLD.list_qindarka
       OR NEW.announced_on <> OLD.announced_on OR NEW.valid_from <> OLD.valid_from
       OR NEW.recorded_on <> OLD.recorded_on OR OLD.valid_until IS NOT NULL THEN
        RAISE EXCEPTION 'a package can only be retired, once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER packages_only_retire BEFORE UPDATE ON packages FOR EACH ROW EXECUTE FUNCTION packages_only_retire();

-- The first version of a package is exempt from the notice; another price for it is not.
CREATE FUNCTION packages_notice() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM packages WHERE name = NEW.name
               AND (valid_until IS NULL OR valid_until > NEW.valid_from)
               AND (NEW.valid_until IS NULL OR valid_from < NEW.valid_until)) THEN
        RAISE EXCEPTION 'two versions of a package overlap' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM packages WHERE name = NEW.name) THEN
        RETURN NEW;
    END IF;
    IF CAST(NEW.valid_from AS DATE) - CAST(NEW.announced_on AS DATE) < 30 THEN
        RAISE EXCEPTION 'another price takes effect 30 days after its notice at the earliest'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.announced_on > NEW.recorded_on THEN
        RAISE EXCEPTION 'a price cannot be announced in the future' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.valid_from <= NEW.recorded_on THEN
        RAISE EXCEPTION 'days that have begun keep the prices they had'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER packages_notice BEFORE INSERT ON packages FOR EACH ROW EXECUTE FUNCTION packages_notice();
