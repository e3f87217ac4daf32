"""CloudEvents 1.0 over HTTP: binary, structured and batched.

    POST /api/v1/cloudevents ──> id, source, type, … ── template ──> messages ──durable──> 202

Specifications: https://github.com/cloudevents/spec, `spec.md`, `formats/json-format.md` and
`bindings/http-protocol-binding.md` of version 1.0.2.
"""
