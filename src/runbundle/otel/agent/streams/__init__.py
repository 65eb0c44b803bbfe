"""Streams: generators and the stream objects of model providers, followed to their end in bounded memory."""
