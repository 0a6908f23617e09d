ALTER TABLE shard
    ADD COLUMN home text NOT NULL DEFAULT '',
    ADD COLUMN renewed_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN lease double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN shard.home IS 'The owner''s data folder: who holds that folder need not wait for its own dead lease.';
COMMENT ON COLUMN shard.lease IS 'Seconds after renewed_at in which nobody else may take the shard; 0 once handed over.';

CREATE FUNCTION shard_renewed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.renewed_at := clock_timestamp();
    RETURN new;
END
$$;
COMMENT ON FUNCTION shard_renewed() IS 'Every commit renews the lease.';
CREATE TRIGGER shard_renewed BEFORE UPDATE OF cursor_seen ON shard FOR EACH ROW EXECUTE FUNCTION shard_renewed();

CREATE FUNCTION shard_hold(my_shard integer, my_term bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(730090, my_shard);
    RETURN EXISTS (SELECT FROM shard AS s WHERE s.shard = my_shard AND s.term = my_term);
END
$$;
COMMENT ON FUNCTION shard_hold(integer, bigint) IS 'Whether the term is in force; if so, until this transaction ends.';

CREATE FUNCTION shard_request(my_shard integer, my_owner text, my_home text, my_lease double precision)
RETURNS TABLE (granted boolean, holder text, new_term bigint, at_cursor bigint, kept boolean, silent double precision)
LANGUAGE plpgsql AS $$
DECLARE
    held shard%ROWTYPE;
    quiet double precision;
BEGIN
    INSERT INTO shard AS s (shard, owner, term) VALUES (my_shard, '', 0) ON CONFLICT DO NOTHING;
    SELECT * INTO held FROM shard AS s WHERE s.shard = my_shard;
    quiet := least(extract(epoch FROM clock_timestamp() - held.renewed_at), 1e9);
    IF held.home <> my_home AND quiet < held.lease THEN
        RETURN QUERY SELECT false, held.owner, held.term, held.cursor_seen, false, quiet;
        RETURN;
    END IF;
    -- A frozen owner may be in the middle of writing ticks: its transaction would neither end nor let us in.
    PERFORM pg_terminate_backend(l.pid) FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.mode = 'ShareLock' AND l.granted AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid = 730090 AND l.objid = my_shard::oid AND l.objsubid = 2;
    PERFORM pg_advisory_xact_lock(730090, my_shard);
    SELECT * INTO held FROM shard AS s WHERE s.shard = my_shard FOR UPDATE;
    IF held.home <> my_home AND extract(epoch FROM clock_timestamp() - held.renewed_at) < held.lease THEN
        RETURN QUERY SELECT false, held.owner, held.term, held.cursor_seen, false, 0.0::double precision;
        RETURN;
    END IF;
    UPDATE shard AS s SET owner = my_owner, home = my_home, term = s.term + 1, lease = my_lease, renewed_at = clock_timestamp()
    WHERE s.shard = my_shard;
    RETURN QUERY SELECT true, held.owner, held.term + 1, held.cursor_seen, held.home = my_home, quiet;
END
$$;
COMMENT ON FUNCTION shard_request(integer, text, text, double precision) IS
    'Takes the shard if its lease has run out or was its home''s own; ends what the former owner was writing.';
