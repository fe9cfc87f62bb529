"""Offhook: a self-hosted telephone system for web browsers."""

__version__ = "0.1.0"
