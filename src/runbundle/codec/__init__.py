"""The typed edge for what comes in: records of declared types, and what instrumentations mean by their attributes."""
