"""The composition root: settings, the driver of the core, timers, start and stop."""
