"""The OpenTelemetry edge: decorators, context, processors, exporters. The only package that imports opentelemetry."""
