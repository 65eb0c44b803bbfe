"""The forms that dialects share: tables, payloads in envelopes, flattened lists, messages on events, documents."""
