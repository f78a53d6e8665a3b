-- How a call's media fared, both ways: losses, jitter, round trip, and the scores of the E-model (ITU-T G.107).

ALTER TABLE calls ADD COLUMN media TEXT CHECK (media IS NULL OR CAST(media AS JSONB) IS NOT NULL);
ALTER TABLE calls ADD CHECK (length(media) <= 4096);
