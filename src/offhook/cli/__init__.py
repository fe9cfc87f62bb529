"""The command `offhook`."""
