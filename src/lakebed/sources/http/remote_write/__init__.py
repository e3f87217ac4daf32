"""Prometheus' remote write, versions 1.0 and 2.0.

    POST /api/v1/write ── snappy ── protobuf ──> series ── template ──> messages ──durable──> 204
                             │ 400, 413, 415        └── bad ones are named ──> 400

Specifications: https://prometheus.io/docs/specs/prw/remote_write_spec and remote_write_spec_2_0.
`generate` makes the `_pb2` files of the `.proto` files, which are those of Prometheus (Apache
License 2.0).
"""
