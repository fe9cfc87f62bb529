"""Sockets. Bytes in and out of flows; nothing here knows what a call is."""
