"""The benchmarks: what a paid call costs, each figure beside an anchor measured in the same run.

``python -m bench`` (through ``bin/bench``) brings up everything by itself and throws it away:

house      PostgreSQL with fsync on, Valkey, web processes, the fake upstream, nginx, LiteLLM
seed       accounts with keys and credits, made by the applications' own verbs
load       the load generator, a process of its own; client reads one connection's answers
pairs      begin and finish straight against the database, a process of its own
streams    the parts over HTTP: cpu, first-byte; opened, two, fallback and peers are the others
stage      what they share: the programs under load, and how much of it there is
litellm    the peer: its environment, and how it is started
unreachable  gives a model a provider that can't be reached, for fallback
ledger     the parts on the database alone; history fills its tables
books      after each part: what was counted, spent and held, and ``reconcile``
report     figures, targets, the table and the JSON
"""
