// Sends numbered logs, spans and metrics through OpenTelemetry's Node SDK.
//
//     node emit.mjs http://127.0.0.1:9700 json my-service 100
//
// prints what was sent as JSON, and fails when the SDK could not deliver it.
// Protocols: `json` and `proto` over HTTP, `grpc`.

import { SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import * as logsGrpc from '@opentelemetry/exporter-logs-otlp-grpc';
import * as logsJson from '@opentelemetry/exporter-logs-otlp-http';
import * as logsProto from '@opentelemetry/exporter-logs-otlp-proto';
import * as metricsGrpc from '@opentelemetry/exporter-metrics-otlp-grpc';
import * as metricsJson from '@opentelemetry/exporter-metrics-otlp-http';
import * as metricsProto from '@opentelemetry/exporter-metrics-otlp-proto';
import * as tracesGrpc from '@opentelemetry/exporter-trace-otlp-grpc';
import * as tracesJson from '@opentelemetry/exporter-trace-otlp-http';
import * as tracesProto from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const [endpoint, protocol, service, countText] = process.argv.slice(2);
const count = Number(countText);

const http = path => ({ url: `${endpoint}/v1/${path}`, compression: 'gzip' });
const [logsOut, spansOut, metricsOut] = {
  json: () => [
    new logsJson.OTLPLogExporter(http('logs')),
    new tracesJson.OTLPTraceExporter(http('traces')),
    new metricsJson.OTLPMetricExporter(http('metrics')),
  ],
  proto: () => [
    new logsProto.OTLPLogExporter(http('logs')),
    new tracesProto.OTLPTraceExporter(http('traces')),
    new metricsProto.OTLPMetricExporter(http('metrics')),
  ],
  grpc: () => [
    new logsGrpc.OTLPLogExporter({ url: endpoint }),
    new tracesGrpc.OTLPTraceExporter({ url: endpoint }),
    new metricsGrpc.OTLPMetricExporter({ url: endpoint }),
  ],
}[protocol]();

const resource = resourceFromAttributes({ 'service.name': service, 'host.name': 'client-2' });
const spans = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(spansOut)] });
const tracer = spans.getTracer('emit', '1.0');
const logs = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor(logsOut)] });
const logger = logs.getLogger('emit');
// Exported once, by the shutdown below.
const reader = new PeriodicExportingMetricReader({ exporter: metricsOut, exportIntervalMillis: 3_600_000 });
const metrics = new MeterProvider({ resource, readers: [reader] });
const meter = metrics.getMeter('emit');
const requests = meter.createCounter('emit.requests', { unit: '1', description: 'Requests' });
const took = meter.createHistogram('emit.took', { unit: 'ms' });

for (let n = 0; n < count; n += 1) {
  const span = tracer.startSpan(`step ${n}`, { kind: SpanKind.SERVER, attributes: { n } });
  const inside = trace.setSpan(context.active(), span);
  span.addEvent('half way', { at: 0.5 });
  const call = tracer.startSpan('call', { kind: SpanKind.CLIENT, attributes: { 'peer.service': 'stock' } }, inside);
  if (n % 10 === 0) call.setStatus({ code: SpanStatusCode.ERROR, message: 'out of stock' });
  call.end();
  logger.emit({
    body: `line ${n}`,
    severityNumber: SeverityNumber.WARN,
    severityText: 'WARNING',
    attributes: { n },
    context: inside,
  });
  span.end();
  requests.add(n + 1, { n });
  took.record(n, { route: '/' });
}

// Each sends what it holds.
const ends = await Promise.allSettled([logs.shutdown(), spans.shutdown(), metrics.shutdown()]);
const failures = ends.filter(end => end.status === 'rejected').map(end => String(end.reason));
console.log(JSON.stringify({ logs: count, spans: 2 * count, series: count + 1, failures }));
process.exit(failures.length === 0 ? 0 : 1);
