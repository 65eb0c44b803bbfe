"""Tests of values that may be kept: names, ids, values of declared shape, and text that passes the detectors."""
