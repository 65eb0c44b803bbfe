"""What needs no line of code: `opentelemetry-instrument`, configuration files, the hook of GenAI instrumentations."""
