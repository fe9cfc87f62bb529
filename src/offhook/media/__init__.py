"""The Python face of the media engine, a process of its own (`offhook-media`)."""
