"""The Chromium room: which browser to run and how it is spoken to. Knows no sandbox and no display."""
