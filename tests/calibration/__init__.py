"""Simulations of gates, by which their error rates and their power are known."""
