-- What owners tell their rules is written down as what they write into them is.
CREATE FUNCTION audit_commands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (at, actor, account_id, action, target, detail)
    VALUES (
        NEW.created, NEW.account_id, NEW.account_id, 'rule.' || NEW.kind, NEW.rule_id::text,
        CASE WHEN NEW.until > 0 THEN jsonb_build_object('until', NEW.until) ELSE '{}' END
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_commands AFTER INSERT ON rule_command FOR EACH ROW EXECUTE FUNCTION audit_commands();
