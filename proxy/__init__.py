"""The metered AI proxy: a plain ASGI application, one small file a noun.

app            the only branching: address -> what answers
context        what a process keeps: pool, HTTP client, catalog, open calls
credentials    who calls
request        parse and bound what is asked
bounds         how many input tokens it can be at most
call           one paid call: its phase, its meter, its cost so far
settle         begin and finish against the database, with retries
upstream       the providers, over HTTP; ``demo`` the built-in one
relay          moves the answer, event by event
sse, meter     pure: bytes in, events and usage out
protocols      what differs between OpenAI's and Anthropic's protocol
errors         errors in each protocol's shape
"""
