"""The screen of one session: the Xvfb that draws it, its framebuffer, its window manager and its native input.

Everything here starts from file descriptors that came out of the sandbox; nothing that arrives through them is trusted.
"""
