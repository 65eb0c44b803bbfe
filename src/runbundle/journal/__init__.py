"""Append-only files that hold the redacted records of a run between the recorder and the assembler.

Another writer, in another process or language, can be put behind this seam.
"""
