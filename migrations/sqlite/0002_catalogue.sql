-- Terms and packages as dated versions (DOMAIN §2.1, §7). Days are calendar days in Europe/Tirane, ISO 8601.
-- Amounts are whole qindarka.

CREATE TABLE terms (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    discount_qindarka       INTEGER NOT NULL CHECK (discount_qindarka >= 0),
    limit_qindarka          INTEGER NOT NULL CHECK (limit_qindarka > 0),
    lowest_package_qindarka INTEGER NOT NULL CHECK (lowest_package_qindarka > 0),
    members_max             INTEGER NOT NULL CHECK (members_max BETWEEN 1 AND 255),
    announced_on            TEXT    NOT NULL CHECK (announced_on IS date(announced_on)),
    effective_on            TEXT    NOT NULL UNIQUE CHECK (effective_on IS date(effective_on)),
    recorded_on             TEXT    NOT NULL CHECK (recorded_on IS date(recorded_on))
) STRICT;

CREATE TABLE packages (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL CHECK (name GLOB 'Super [1-9]*'),
    list_qindarka   INTEGER NOT NULL CHECK (list_qindarka > 0),
    announced_on    TEXT    NOT NULL CHECK (announced_on IS date(announced_on)),
    valid_from      TEXT    NOT NULL CHECK (valid_from IS date(valid_from)),
    valid_until     TEXT    CHECK (valid_until IS date(valid_until) AND valid_until >= valid_from), -- first day not sold
    recorded_on     TEXT    NOT NULL CHECK (recorded_on IS date(recorded_on))
) STRICT;

CREATE INDEX packages_name ON packages (name, valid_from);

CREATE TRIGGER terms_never_deleted BEFORE DELETE ON terms
BEGIN SELECT RAISE(ABORT, 'terms are followed by new ones, never deleted'); END;

CREATE TRIGGER terms_never_updated BEFORE UPDATE ON terms
BEGIN SELECT RAISE(ABORT, 'terms are followed by new ones, never changed'); END;

-- 30 days' notice (DOMAIN §7); the first version, which changes nothing for anybody, is exempt.
CREATE TRIGGER terms_notice BEFORE INSERT ON terms
WHEN EXISTS (SELECT 1 FROM terms)
BEGIN
    SELECT RAISE(ABORT, 'the terms exist') WHERE EXISTS (SELECT 1 FROM terms WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'new terms take effect 30 days after their notice at the earliest')
        WHERE julianday(NEW.effective_on) - julianday(NEW.announced_on) < 30;
    SELECT RAISE(ABORT, 'terms cannot be announced in the future') WHERE NEW.announced_on > NEW.recorded_on;
    SELECT RAISE(ABORT, 'days that have begun keep the terms they had') WHERE NEW.effective_on <= NEW.recorded_on;
    SELECT RAISE(ABORT, 'new terms take effect after the version before')
        WHERE NEW.effective_on <= (SELECT MAX(effective_on) FROM terms);
END;

CREATE TRIGGER packages_never_deleted BEFORE DELETE ON packages
BEGIN SELECT RAISE(ABORT, 'a package is retired, never deleted'); END;

CREATE TRIGGER packages_only_retire BEFORE UPDATE ON packages
WHEN NEW.id IS NOT OLD.id OR NEW.name IS NOT OLD.name OR NEW.list_qindarka IS NOT OLD.list_qindarka
  OR NEW.announced_on IS NOT OLD.announced_on OR NEW.valid_from IS NOT OLD.valid_from
  OR NEW.recorded_on IS NOT OLD.recorded_on OR OLD.valid_until IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a package can only be retired, once'); END;

-- The first version of a package is exempt from the notice; another price for it is not.
CREATE TRIGGER packages_notice BEFORE INSERT ON packages
BEGIN
    SELECT RAISE(ABORT, 'the package exists') WHERE EXISTS (SELECT 1 FROM packages WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'two versions of a package overlap')
        WHERE EXISTS (SELECT 1 FROM packages WHERE name = NEW.name
                      AND (valid_until IS NULL OR valid_until > NEW.valid_from)
                      AND (NEW.valid_until IS NULL OR valid_from < NEW.valid_until));
    SELECT RAISE(ABORT, 'another price takes effect 30 days after its notice at the earliest')
        WHERE EXISTS (SELECT 1 FROM packages WHERE name = NEW.name)
          AND julianday(NEW.valid_from) - julianday(NEW.announced_on) < 30;
    SELECT RAISE(ABORT, 'a price cannot be announced in the future')
        WHERE EXISTS (SELECT 1 FROM packages WHERE name = NEW.name) AND NEW.announced_on > NEW.recorded_on;
    SELECT RAISE(ABORT, 'days that have begun keep the prices they had')
        WHERE EXISTS (SELECT 1 FROM packages WHERE name = NEW.name) AND NEW.valid_from <= NEW.recorded_on;
END;
