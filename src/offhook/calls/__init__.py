"""Call control: who may call whom, which legs ring, what ends a call. Pure: events in, effects out."""
