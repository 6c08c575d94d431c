"""Runs first in a build of `make dist`: its own libraries are for it alone, not for the programs it starts.

See pyinstaller.org, "Launching External Programs from the Frozen Application".
"""

import os

os.environ.pop("LD_LIBRARY_PATH", None)
if "LD_LIBRARY_PATH_ORIG" in os.environ:
    os.environ["LD_LIBRARY_PATH"] = os.environ.pop("LD_LIBRARY_PATH_ORIG")
