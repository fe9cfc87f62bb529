"""The REST API and the web phone's page."""
