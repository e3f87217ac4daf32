"""OpenTelemetry's protocol over HTTP (OTLP/HTTP), as protobuf and as JSON: metrics and logs.

    POST /v1/metrics ─┬─ gzip ── protobuf, JSON ──> data points ── template ──> messages ──> 200
    POST /v1/logs    ─┘                             or records      └── bad: partial_success
    POST /v1/traces  ── 404

Specification: https://opentelemetry.io/docs/specs/otlp/#otlphttp.
"""
