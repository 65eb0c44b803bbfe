"""The typed edge: raw fields of spans and logs become records of declared types."""
