"""chaser-server: a self-hosted server that hands out real Chromium browsers over CDP."""

__version__ = "0.1.0"
