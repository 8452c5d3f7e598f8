-- name: make
INSERT INTO erp_gate (erp) VALUES (%s) ON CONFLICT DO NOTHING

-- name: look
-- Whether the breaker is open; how long a pause, and the wait for the next probe, still last.
SELECT opened_at IS NOT NULL,
       CASE WHEN paused_until > statement_timestamp()
            THEN extract(epoch FROM paused_until - statement_timestamp())::float8 ELSE 0 END,
       CASE WHEN probe_at > statement_timestamp()
            THEN extract(epoch FROM probe_at - statement_timestamp())::float8 ELSE 0 END,
       coalesce(reason, '')
FROM erp_gate WHERE erp = %s

-- name: claim_probe
-- One caller of all processes gets the probe. If it dies with it, the next may try after the lease.
UPDATE erp_gate SET probe_at = statement_timestamp() + make_interval(secs => %(lease_s)s)
WHERE erp = %(erp)s AND opened_at IS NOT NULL AND coalesce(probe_at, '-infinity') <= statement_timestamp()
RETURNING true

-- name: give_back_probe
UPDATE erp_gate SET probe_at = statement_timestamp() WHERE erp = %s AND opened_at IS NOT NULL

-- name: reserve
-- A slot for one call, by the generic cell rate algorithm: arrival is when the last slot's time is used up. The row is
-- locked for this statement alone: whoever dies holds up nobody. A success of the call before is noted on the way.
UPDATE erp_gate SET
    arrival = CASE WHEN (opened_at IS NULL OR %(ticket)s OR %(succeeded)s) AND paused_until <= statement_timestamp()
                   THEN greatest(arrival, statement_timestamp()) + make_interval(secs => %(interval_s)s)
                   ELSE arrival END,
    failures = CASE WHEN %(succeeded)s THEN 0 ELSE failures END,
    throttled = CASE WHEN %(succeeded)s THEN 0 ELSE throttled END,
    reason = CASE WHEN %(succeeded)s THEN NULL ELSE reason END,
    probe_at = CASE WHEN %(succeeded)s THEN NULL ELSE probe_at END,
    opened_at = CASE WHEN %(succeeded)s THEN NULL ELSE opened_at END
WHERE erp = %(erp)s
RETURNING opened_at IS NOT NULL,
          CASE WHEN paused_until > statement_timestamp()
               THEN extract(epoch FROM paused_until - statement_timestamp())::float8 ELSE 0 END,
          CASE WHEN arrival > '-infinity'
               THEN extract(epoch FROM arrival - statement_timestamp())::float8 - %(interval_s)s - %(burst_s)s ELSE 0 END,
          coalesce(reason, '')

-- name: succeeded
UPDATE erp_gate SET failures = 0, throttled = 0, opened_at = NULL, probe_at = NULL, reason = NULL
WHERE erp = %s AND (failures > 0 OR throttled > 0 OR opened_at IS NOT NULL)

-- name: failed
-- One more failure in a row. An open breaker learns from its probe alone: what was under way when it opened is no news.
UPDATE erp_gate SET
    failures = failures + 1,
    reason = %(reason)s,
    opened_at = CASE WHEN failures + 1 >= %(threshold)s THEN coalesce(opened_at, statement_timestamp())
                     ELSE opened_at END,
    probe_at = CASE WHEN opened_at IS NOT NULL OR failures + 1 >= %(threshold)s
                    THEN statement_timestamp() + make_interval(secs => least(
                        %(most_s)s, %(first_s)s * power(2, least(greatest(failures + 1 - %(threshold)s, 0), 16))))
               END
WHERE erp = %(erp)s AND (opened_at IS NULL OR %(ticket)s)
RETURNING opened_at IS NOT NULL, failures

-- name: throttled
-- The ERP asks for fewer calls: all lanes wait. It is there, so that its breaker closes.
UPDATE erp_gate SET
    throttled = throttled + 1, failures = 0, opened_at = NULL, probe_at = NULL, reason = %(reason)s,
    paused_until = greatest(paused_until, statement_timestamp() + make_interval(secs => coalesce(
        %(retry_after_s)s::float8, least(%(most_s)s, %(first_s)s * power(2, least(throttled, 16))))))
WHERE erp = %(erp)s

-- name: pause
UPDATE erp_gate
SET paused_until = greatest(paused_until, statement_timestamp() + make_interval(secs => %(seconds)s))
WHERE erp = %(erp)s

-- name: probe_now
UPDATE erp_gate SET probe_at = statement_timestamp(), paused_until = '-infinity' WHERE erp = %s

-- name: note_incident
INSERT INTO erp_incident (erp, kind, detail) VALUES (%s, %s, %s)
