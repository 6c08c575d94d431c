"""The live view of one screen: pictures to everyone who watches, input from the one who drives.

Knows no session, no token and no X server: where pictures come from, what takes input and how a viewer is reached are
three small protocols in `seams`.
"""
