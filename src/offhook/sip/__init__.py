"""SIP as RFC 3261 and its updates define it. Pure: events in, effects out; time and randomness are arguments."""
