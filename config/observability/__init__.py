"""What operators see of a running Farebox: metrics, errors and traces (``docs/monitoring.md``).

values    the settings
start     switches errors and traces on where they are set up; imports neither otherwise
metrics   /metrics: who may read it, and the answer
books     figures that are read from database and queue when somebody asks
tasks     the worker's tasks, counted
sentry    errors to Sentry
tracing   traces to OpenTelemetry
"""
