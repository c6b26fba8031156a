-- A past for every wallet that has a key: %(calls)s paid calls each, over the last sixty days, as
-- usage_begin and usage_finish would have left them, so that reconcile finds nothing. All triggers
-- and constraints are on. Calls of different wallets alternate in time, as real ones do.

CREATE TEMP TABLE past_wallet AS
SELECT a.id AS wallet, a.owner_id AS owner, k.id AS key,
       (ledger_grant(a.id, %(calls)s * 135::bigint, 'purchase', 1, NULL, 'bench:past:' || a.id, '{}')
           ->> 'grant')::bigint AS lot
FROM ledger_account a JOIN accounts_apikey k ON k.user_id = a.owner_id
WHERE a.kind = 'wallet' ORDER BY a.id;

CREATE TEMP TABLE past_call AS
SELECT uuidv7(made - clock_timestamp()) AS id, wallet, owner, key, lot, made
FROM (
    SELECT w.*, clock_timestamp() - interval '60 days' * (1 - n / %(calls)s::numeric)::float8
               - interval '1 minute' AS made
    FROM generate_series(1, %(calls)s) n CROSS JOIN past_wallet w ORDER BY n, w.wallet
) past;

INSERT INTO ledger_hold
    (id, account_id, kind, amount, captured, state, lease_until, metadata, created, ended)
SELECT id, wallet, 'call', 7500, 135, 'captured', made + interval '30 seconds',
       jsonb_build_object('model', 'gpt-4o-mini', 'provider', 'openai', 'protocol', 'openai',
           'price', %(price)s::bigint, 'stream', true, 'user', owner, 'key', key, 'quota', false,
           'tokens', NULL),
       made, made + interval '2 seconds'
FROM past_call ORDER BY made;

INSERT INTO ledger_transfer (debit_id, credit_id, amount, kind, key, hold_id, metadata, created)
SELECT wallet, ledger__system('revenue'), 135, 'capture', 'call:' || id, id,
       jsonb_build_object('call', id, 'model', 'gpt-4o-mini',
           'lots', jsonb_build_array(jsonb_build_array(lot, 135))),
       made + interval '2 seconds'
FROM past_call ORDER BY made;

INSERT INTO usage_call (
    id, user_id, api_key_id, model, provider, protocol, price_id, status, streamed, by_quota, held,
    spent, written_off, cost, estimated, input_tokens, cached_tokens, cache_write_tokens,
    cache_write_1h_tokens, output_tokens, error, first_event_ms, started, finished)
SELECT id, owner, key, 'gpt-4o-mini', 'openai', 'openai', %(price)s, 'completed', true, false, 7500,
       135, 0, 135, false, 10, 0, 0, 0, 20, '', 1, made, made + interval '2 seconds'
FROM past_call ORDER BY made;

INSERT INTO usage_monthlyusage AS m
    (user_id, month, api_key_id, requests, input_tokens, output_tokens, spent)
SELECT owner, to_char(made AT TIME ZONE 'UTC', 'YYYY-MM'), key, count(*), 10 * count(*),
       20 * count(*), 135 * count(*)
FROM past_call GROUP BY 1, 2, 3
ON CONFLICT (user_id, month, coalesce(api_key_id, '00000000-0000-0000-0000-000000000000'::uuid))
DO UPDATE SET requests = m.requests + excluded.requests,
    input_tokens = m.input_tokens + excluded.input_tokens,
    output_tokens = m.output_tokens + excluded.output_tokens, spent = m.spent + excluded.spent;

UPDATE ledger_grant g SET remaining = 0 FROM past_wallet w WHERE g.id = w.lot;
UPDATE ledger_account a SET posted = posted - %(calls)s * 135::bigint
    FROM past_wallet w WHERE a.id = w.wallet;
DROP TABLE past_call, past_wallet;
