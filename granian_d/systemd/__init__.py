"""The service manager's protocol: activation, notification, watchdog. See README.md."""
