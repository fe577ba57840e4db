"""What applications may want of their server. See `proxies`."""
