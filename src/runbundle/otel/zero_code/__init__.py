"""What needs no line of code: `opentelemetry-instrument`, configuration files, the completion hook of GenAI libraries."""
