-- As before, but what a rule's channels mean is asked of `owed_on`.
CREATE OR REPLACE FUNCTION journal_commit(
    my_shard integer, my_term bigint, my_cursor bigint, my_now bigint,
    e_rule uuid[], e_version integer[], e_seen bigint[],
    c_rule uuid[], c_number integer[], c_seen bigint[],
    s_rule uuid[], s_instrument integer[], s_version integer[], s_phase smallint[], s_armed boolean[],
    s_silent boolean[], s_since bigint[], s_due_at bigint[], s_due_seen bigint[], s_emitted_at bigint[],
    s_fired integer[], s_hour bigint[], s_hour_fires integer[], s_parts bytea[], s_seen bigint[],
    g_id uuid[], g_account uuid[], g_rule uuid[], g_version integer[], g_instrument integer[], g_direction text[],
    g_at bigint[], g_seen bigint[], g_payload bytea[],
    d_signal uuid[], d_channel text[], d_not_before bigint[]
) RETURNS TABLE (new_signal uuid, new_epoch bigint, new_seq bigint)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    reached bigint;
BEGIN
    UPDATE shard SET cursor_seen = greatest(cursor_seen, my_cursor) WHERE shard = my_shard AND term = my_term
    RETURNING cursor_seen INTO reached;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'shard % is no longer held under term %', my_shard, my_term USING ERRCODE = 'PW001';
    END IF;

    IF cardinality(e_rule) > 0 THEN
        UPDATE rule_version AS v SET effective_seen = e.seen
        FROM unnest(e_rule, e_version, e_seen) AS e (rule, version, seen)
        WHERE v.rule_id = e.rule AND v.version = e.version AND v.effective_seen IS NULL;
        DELETE FROM rule_state AS s USING unnest(e_rule, e_version) AS e (rule, version)
        WHERE s.rule_id = e.rule AND s.version < e.version;
    END IF;

    IF cardinality(c_rule) > 0 THEN
        UPDATE rule_command AS c SET effective_seen = t.seen
        FROM unnest(c_rule, c_number, c_seen) AS t (rule, number, seen)
        WHERE c.rule_id = t.rule AND c.number = t.number AND c.effective_seen IS NULL;
    END IF;

    -- A call given up by its client may still run, after its redoing: what it says of states is then out of date.
    IF cardinality(s_rule) > 0 AND my_cursor >= reached THEN
        INSERT INTO rule_state AS held (
            rule_id, instrument_id, shard, version, phase, armed, silent, since, due_at, due_seen, emitted_at, fired,
            hour, hour_fires, parts, seen
        )
        SELECT
            s.rule, s.instrument, my_shard, s.version, s.phase, s.armed, s.silent, s.since, s.due_at, s.due_seen,
            s.emitted_at, s.fired, s.hour, s.hour_fires, s.parts, s.seen
        FROM unnest(
            s_rule, s_instrument, s_version, s_phase, s_armed, s_silent, s_since, s_due_at, s_due_seen, s_emitted_at,
            s_fired, s_hour, s_hour_fires, s_parts, s_seen
        ) AS s (
            rule, instrument, version, phase, armed, silent, since, due_at, due_seen, emitted_at, fired, hour,
            hour_fires, parts, seen
        )
        JOIN rule ON rule.id = s.rule AND NOT rule.deleted
        WHERE NOT EXISTS (
            SELECT FROM rule_version AS v
            WHERE v.rule_id = s.rule AND v.version > s.version AND v.effective_seen IS NOT NULL
        )
        ON CONFLICT (rule_id, instrument_id) DO UPDATE SET
            shard = excluded.shard, version = excluded.version, phase = excluded.phase, armed = excluded.armed,
            silent = excluded.silent, since = excluded.since, due_at = excluded.due_at,
            due_seen = excluded.due_seen, emitted_at = excluded.emitted_at, fired = excluded.fired,
            hour = excluded.hour, hour_fires = excluded.hour_fires, parts = excluded.parts, seen = excluded.seen
        WHERE held.version <= excluded.version;
    END IF;

    IF cardinality(g_id) > 0 THEN
        -- Shards share feeds: all lock them in one order.
        PERFORM FROM feed WHERE feed_id = ANY (g_account) ORDER BY feed_id FOR UPDATE;
        RETURN QUERY
        WITH given AS MATERIALIZED (
            SELECT g.*, account.email
            FROM unnest(
                g_id, g_account, g_rule, g_version, g_instrument, g_direction, g_at, g_seen, g_payload
            ) WITH ORDINALITY AS g (id, account, rule, version, instrument, direction, at, seen, payload, n)
            JOIN account ON account.id = g.account
        ), fresh AS (
            INSERT INTO signal (
                id, account_id, rule_id, rule_version, instrument_id, direction, at, seen, payload, committed_at
            )
            SELECT id, account, rule, version, instrument, direction, at, seen, payload, my_now FROM given
            ON CONFLICT (id) DO NOTHING
            RETURNING id
        ), numbered AS (
            SELECT given.id, account, email, n, row_number() OVER (PARTITION BY account ORDER BY n) AS nth
            FROM given JOIN fresh ON fresh.id = given.id
        ), moved AS (
            UPDATE feed SET seq = feed.seq + grown.by
            FROM (SELECT account, count(*) AS by FROM numbered GROUP BY account) AS grown
            WHERE feed_id = grown.account
            RETURNING feed_id, epoch, feed.seq - grown.by AS base
        ), placed AS (
            INSERT INTO feed_entry (feed_id, seq, signal_id)
            SELECT feed_id, base + nth, id FROM numbered JOIN moved ON feed_id = account
        ), owed AS (
            INSERT INTO delivery (id, account_id, signal_id, channel, target, queued_at, not_before)
            SELECT delivery_id(id, t.channel, t.target), account, id, t.channel, t.target, my_now,
                greatest(my_now, d.not_before)
            FROM unnest(d_signal, d_channel, d_not_before) WITH ORDINALITY AS d (signal, word, not_before, nth_owed)
            JOIN numbered ON id = d.signal
            CROSS JOIN LATERAL owed_on(account, email, d.word) AS t (channel, target)
            ORDER BY d.nth_owed, t.target
            ON CONFLICT DO NOTHING
        )
        SELECT id, epoch, base + nth FROM numbered JOIN moved ON feed_id = account ORDER BY n;
    END IF;
END
$$;
COMMENT ON FUNCTION journal_commit IS 'The new signals with their places, in order; PW001 when the shard is fenced.';
