-- name: claim
-- The oldest message of each recipient, if it is due: nobody hears that something is over before it began. Who claims one
-- has it for a time; if it is not heard of by then, it is sent again.
UPDATE alert_delivery d SET attempts = d.attempts + 1, next_at = %(lease)s
FROM (
    SELECT a.delivery_id FROM alert_delivery a
    WHERE a.delivery_id IN (SELECT min(delivery_id) FROM alert_delivery
                            WHERE route = %(route)s AND state = 'waiting' GROUP BY recipient)
      AND a.state = 'waiting' AND a.next_at <= %(now)s
    FOR UPDATE SKIP LOCKED
) AS due
WHERE d.delivery_id = due.delivery_id
RETURNING d.delivery_id, d.recipient, d.delivery_key, d.message, d.attempts, d.made_at

-- name: sent
UPDATE alert_delivery SET state = 'sent', sent_at = %(now)s, last_error = NULL WHERE delivery_id = %(delivery_id)s

-- name: failed
UPDATE alert_delivery SET state = %(state)s, next_at = %(next_at)s, last_error = %(error)s
WHERE delivery_id = %(delivery_id)s

-- name: listed
SELECT delivery_id, route, recipient, group_key, state, attempts, made_at, next_at, sent_at, last_error
FROM alert_delivery ORDER BY delivery_id DESC LIMIT %(most)s
