"""The metered AI proxy: a plain ASGI application, one small file a noun.

app            the only branching: address -> what answers
context        what a process keeps: pool, HTTP client, catalog, open calls
pool           its connections to PostgreSQL; statements is how a call uses one
stepping       waiting at less cost
credentials    who calls
routes         the paid addresses, and how each is read
request        parse and bound what is asked
bounds         how many input tokens it can be at most
call           one paid call: its phase, its meter, its cost so far
settle         begin and finish against the database, with retries
metrics        what is counted of calls
tracing        what is told of a call to whoever traces
providers      who can answer, with which key, and which of them work now
breaker        pure: what fails is left alone for a while
attempts       one provider after the other, until one begins to answer
upstream       the providers, over HTTP; ``demo`` the built-in one
answers        what answers that are none mean
drain          an answer read to its end without its client
relay          moves the answer, event by event
passing        moves those that need no second look, at once
sse, meter     pure: bytes in, events and usage out
delivery       pure: how what comes is told to the client
protocols      what differs between chat completions, Responses, embeddings and messages
ai_proxy       one shape of request and answer over those
counting       tokens counted for nothing
listing        the models a caller may call
errors         errors in each protocol's shape
"""
