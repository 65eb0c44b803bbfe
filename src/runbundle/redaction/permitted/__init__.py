"""What may be kept: names, ids, values of declared shape, and text on its way past the detectors."""
