"""Where browsers come from: the seam (`base`) and this machine (`local`)."""
