"""The API told in OpenAPI 3.1, by hand and in pieces: one file for each part of the API, the errors and the shapes.

It is data about the other modules of this room and imports none of them; tests hold the two together, both ways.
"""
