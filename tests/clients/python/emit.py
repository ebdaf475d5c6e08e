"""Sends numbered logs, spans and metrics through OpenTelemetry's Python SDK.

    python emit.py http://127.0.0.1:9700 grpc my-service 100

prints what was sent as JSON. The SDK does not tell whether it arrived: ask the table.
"""

import json
import logging
import sys

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode


def exporters(endpoint, protocol):
    if protocol == "grpc":
        return (
            GrpcLogs(endpoint=endpoint, insecure=True),
            GrpcSpans(endpoint=endpoint, insecure=True),
            GrpcMetrics(endpoint=endpoint, insecure=True),
        )
    gzip = Compression.Gzip
    return (
        HttpLogs(endpoint=f"{endpoint}/v1/logs", compression=gzip),
        HttpSpans(endpoint=f"{endpoint}/v1/traces", compression=gzip),
        HttpMetrics(endpoint=f"{endpoint}/v1/metrics", compression=gzip),
    )


def main():
    endpoint, protocol, service, count = sys.argv[1:5]
    count = int(count)
    logs_out, spans_out, metrics_out = exporters(endpoint, protocol)
    resource = Resource.create({"service.name": service, "host.name": "client-1"})

    spans = TracerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(spans_out))
    tracer = spans.get_tracer("emit", "1.0")

    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(logs_out))
    logger = logging.getLogger("emit")
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(logger_provider=logs))
    logger.propagate = False

    # Exported once, by the shutdown below.
    reader = PeriodicExportingMetricReader(metrics_out, export_interval_millis=3_600_000)
    metrics = MeterProvider(resource=resource, metric_readers=[reader])
    meter = metrics.get_meter("emit")
    requests = meter.create_counter("emit.requests", unit="1", description="Requests")
    took = meter.create_histogram("emit.took", unit="ms")

    for n in range(count):
        with tracer.start_as_current_span(f"step {n}", kind=SpanKind.SERVER) as span:
            span.set_attribute("n", n)
            span.add_event("half way", {"at": 0.5})
            with tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as call:
                call.set_attribute("peer.service", "stock")
                if n % 10 == 0:
                    call.set_status(Status(StatusCode.ERROR, "out of stock"))
            logger.warning("line %d", n, extra={"n": n})
        requests.add(n + 1, {"n": n})
        took.record(n, {"route": "/"})

    # Each sends what it holds.
    for provider in (logs, spans, metrics):
        provider.shutdown()
    print(json.dumps({"logs": count, "spans": 2 * count, "series": count + 1}))


main()
