"""Signalling beside Kamailio and rtpengine: what registrations, connections and calls cost. `python -m bench.signalling`."""
